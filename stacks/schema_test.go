package stacks

import (
	"bytes"
	"os"
	"reflect"
	"regexp"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"go.yaml.in/yaml/v4"
)

func compiled(t *testing.T, make func() ([]byte, error)) *jsonschema.Schema {
	t.Helper()
	raw, err := make()
	if err != nil {
		t.Fatal(err)
	}
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(raw))
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	c.AssertFormat()
	if err := c.AddResource("croft.json", doc); err != nil {
		t.Fatal(err)
	}
	s, err := c.Compile("croft.json")
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func asJSON(t *testing.T, text []byte) any {
	t.Helper()
	var v any
	if err := yaml.Unmarshal(text, &v); err != nil {
		t.Fatal(err)
	}
	return v
}

func TestSchemaTakesTheExampleAndWhatIsWritten(t *testing.T) {
	s := compiled(t, Schema)
	example, err := os.ReadFile("testdata/platform/croft.yaml")
	if err != nil {
		t.Fatal(err)
	}
	written, err := MarshalPlatform(Platform{Version: 1, Name: "home", Admin: Admin{"ada", "ada@example.com"}})
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string][]byte{"example": example, "written": written, "small": []byte(goodPlatform)} {
		if err := s.Validate(asJSON(t, text)); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// Every key of the types is in the example, so it documents all there is.
func TestExampleHasEveryKey(t *testing.T) {
	raw, err := os.ReadFile("testdata/platform/croft.yaml")
	if err != nil {
		t.Fatal(err)
	}
	_, root, ps := parseOne(PlatformFile, raw)
	if len(ps) > 0 {
		t.Fatal(told(ps))
	}
	x := NodeIndex{}
	x.index("", root)
	var look func(path string, typ reflect.Type)
	look = func(path string, typ reflect.Type) {
		for _, f := range structFields(typ) {
			p := join(path, f.key)
			if _, ok := x[p]; !ok {
				t.Errorf("the example lacks %s", p)
			}
			if ft := typ.Field(f.index).Type; ft.Kind() == reflect.Struct {
				look(p, ft)
			}
		}
	}
	look("", reflect.TypeFor[Platform]())
}

// The schema refuses what the loader refuses, as far as types go.
func TestSchemaAgreesWithTheLoader(t *testing.T) {
	s := compiled(t, Schema)
	for _, text := range []string{
		goodPlatform + "domian: x\n", goodPlatform + "expose: lna\n", "version: 1\nname: home\nstacks: {}\n",
		"version: 2\nname: home\nadmin: {name: a, email: a@b.c}\nstacks: {}\n",
		"version: 1\nname: Home\nadmin: {name: a, email: a@b.c}\nstacks: {}\n",
		"version: 1\nname: home\nadmin: {name: a, email: a@b.c}\nstacks: {A: {}}\n",
		"version: 1\nname: home\nadmin: {name: a, email: a@b.c}\nstacks: {a: {options: {A: [1]}}}\n",
		"version: 1\nname: 5\nadmin: {name: a, email: a@b.c}\nstacks: {}\n",
	} {
		if s.Validate(asJSON(t, []byte(text))) == nil {
			t.Errorf("the schema takes\n%s", text)
		}
		if _, ps := readPlatform([]byte(text)); ps.Err() == nil {
			t.Errorf("the loader takes\n%s", text)
		}
	}
}

func TestStackSchema(t *testing.T) {
	s := compiled(t, StackSchema)
	_, x := child(mustRoot(t, fullStack), xKey)
	var v any
	if err := x.Decode(&v); err != nil {
		t.Fatal(err)
	}
	if err := s.Validate(v); err != nil {
		t.Error(err)
	}
	v.(map[string]any)["rooutes"] = 1
	if s.Validate(v) == nil {
		t.Error("an unknown key is taken")
	}
}

func mustRoot(t *testing.T, text string) *yaml.Node {
	t.Helper()
	_, root, ps := parseOne("compose.yaml", []byte(text))
	if len(ps) > 0 {
		t.Fatal(told(ps))
	}
	return root
}

// matches takes only constants: each must compile.
func TestTagPatternsCompile(t *testing.T) {
	var look func(typ reflect.Type)
	look = func(typ reflect.Type) {
		for typ.Kind() == reflect.Map || typ.Kind() == reflect.Slice || typ.Kind() == reflect.Pointer {
			typ = typ.Elem()
		}
		if typ.Kind() != reflect.Struct {
			return
		}
		for _, f := range structFields(typ) {
			if _, err := regexp.Compile(f.rules.pattern); err != nil {
				t.Errorf("%s.%s: %v", typ, f.key, err)
			}
			look(typ.Field(f.index).Type)
		}
	}
	look(reflect.TypeFor[Platform]())
	look(reflect.TypeFor[XCroft]())
}
