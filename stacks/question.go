package stacks

// Kind says what form an answer has.
type Kind string

// The kinds of answers.
const (
	KindText   Kind = "text"
	KindSecret Kind = "secret"
	KindChoice Kind = "choice" // one of Choices
	KindMany   Kind = "many"   // a comma-separated list of Choices
	KindYesNo  Kind = "yes-no"
)

// Choice is one possible answer.
type Choice struct{ Value, Label string }

// Question is one thing init asks. The same list drives the line prompt, the
// full-screen wizard, --answers FILE and --set key=value, so none can disagree.
type Question struct {
	Key     string // the answer's name in --set and --answers
	Title   string
	Help    string
	Kind    Kind
	Choices []Choice
	// Default gives the answer an expert would choose, given those before it.
	Default func(Platform) string
	// When tells whether the question makes sense; nil means always.
	When func(Platform) bool
	// Check refuses a bad answer; nil takes any.
	Check func(string) error
	// Set writes a checked answer into the draft.
	Set func(*Platform, string)
}
