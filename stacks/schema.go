package stacks

import "errors"

// Schema is the JSON Schema of croft.yaml.
func Schema() ([]byte, error) { return nil, errors.New("not yet") }

// StackSchema is the JSON Schema of the x-croft block.
func StackSchema() ([]byte, error) { return nil, errors.New("not yet") }
