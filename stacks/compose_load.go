package stacks

import "io/fs"

// LoadEnv is what a stack's file is read with.
type LoadEnv struct {
	Dir         string            // absolute platform directory; only for path arithmetic
	ProjectName string            // Compose project: <platform>-<stack>
	Choice      StackChoice       // what croft.yaml says about the stack
	Facts       map[string]string // CROFT_* variables
}

// SecretFilePrefix is where the file of an x-croft secret seems to be.
const SecretFilePrefix = "./.croft-secrets/"

// AddressPlaceholder is what ${NAME} of an x-croft address stands for until Render.
func AddressPlaceholder(name string) string { return "croft-address-" + name }

// LoadStack reads stacks/<name>/ of a platform.
func LoadStack(fsys fs.FS, name string, env LoadEnv) (*Stack, Problems) { return nil, nil }

// LoadStackInfo reads a catalogue entry without options.
func LoadStackInfo(fsys fs.FS, dir string) (XCroft, []string, Problems) { return XCroft{}, nil, nil }
