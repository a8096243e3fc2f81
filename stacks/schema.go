package stacks

import (
	"encoding/json"
	"reflect"
	"strconv"
)

// schema is one node of a JSON Schema.
type schema map[string]any

// Schema gives the JSON Schema (draft 2020-12) of croft.yaml.
func Schema() ([]byte, error) {
	s := schemaOf(reflect.TypeFor[Platform](), rules{})
	s["properties"].(schema)["stacks"].(schema)["propertyNames"] = schema{"pattern": stackNamePattern}
	return printSchema(s, "croft.yaml", "What an admin asks of croft.")
}

// StackSchema gives the JSON Schema (draft 2020-12) of an x-croft block.
func StackSchema() ([]byte, error) {
	s := schemaOf(reflect.TypeFor[XCroft](), rules{})
	for key, pattern := range map[string]string{
		"options": variablePattern, "addresses": variablePattern, "secrets": secretPattern, "databases": databasePattern,
	} {
		s["properties"].(schema)[key].(schema)["propertyNames"] = schema{"pattern": pattern}
	}
	return printSchema(s, xKey, "What Compose has no words for.")
}

func printSchema(s schema, title, description string) ([]byte, error) {
	s["$schema"] = "https://json-schema.org/draft/2020-12/schema"
	s["title"] = title
	s["description"] = description
	out, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		return nil, err
	}
	return append(out, '\n'), nil
}

// schemaOf makes the schema of a type from the same tags that the decoder goes
// by, so an editor and croft agree.
func schemaOf(t reflect.Type, r rules) schema {
	switch t.Kind() {
	case reflect.Pointer:
		return schemaOf(t.Elem(), r)
	case reflect.Struct:
		return structSchema(t)
	case reflect.Map:
		r.scalar = true
		return schema{"type": []string{"object", "null"}, "additionalProperties": schemaOf(t.Elem(), r)}
	case reflect.Slice:
		return schema{"type": []string{"array", "null"}, "items": schemaOf(t.Elem(), r)}
	case reflect.Bool:
		return schema{"type": "boolean"}
	case reflect.String:
		return stringSchema(r)
	}
	return numberSchema(t, r)
}

func structSchema(t reflect.Type) schema {
	properties, required := schema{}, []string{}
	for _, f := range structFields(t) {
		p := schemaOf(t.Field(f.index).Type, f.rules)
		if f.description != "" {
			p["description"] = f.description
		}
		properties[f.key] = p
		if f.required {
			required = append(required, f.key)
		}
	}
	s := schema{"type": "object", "properties": properties, "additionalProperties": false}
	if len(required) > 0 {
		s["required"] = required
	} else {
		s["type"] = []string{"object", "null"}
	}
	return s
}

func stringSchema(r rules) schema {
	s := schema{"type": "string"}
	if r.scalar && len(r.enum) == 0 {
		s["type"] = []string{"string", "number", "boolean"}
	}
	if len(r.enum) > 0 {
		s["enum"] = r.enum
	}
	if r.pattern != "" {
		s["pattern"] = r.pattern
	}
	if r.format != "" {
		s["format"] = r.format
	}
	return s
}

func numberSchema(t reflect.Type, r rules) schema {
	s := schema{"type": "integer", "minimum": 0}
	if t.Kind() == reflect.Uint16 {
		s["maximum"] = 65535
	}
	for key, value := range map[string]string{"minimum": r.min, "maximum": r.max} {
		if n, err := strconv.Atoi(value); err == nil {
			s[key] = n
		}
	}
	var enum []int
	for _, e := range r.enum {
		if n, err := strconv.Atoi(e); err == nil {
			enum = append(enum, n)
		}
	}
	if enum != nil {
		s["enum"] = enum
	}
	return s
}
