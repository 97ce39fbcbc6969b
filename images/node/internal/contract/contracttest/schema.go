// Package contracttest holds values against the contract's published JSON Schemas, in tests.
package contracttest

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

// Schema compiles a schema of the contract, such as "status.schema.json".
func Schema(t testing.TB, name string) *jsonschema.Schema {
	t.Helper()
	compiler := jsonschema.NewCompiler()
	compiler.AssertFormat()
	schema, err := compiler.Compile(filepath.Join(folder(t), name))
	if err != nil {
		t.Fatal(err)
	}
	return schema
}

// Validate fails the test when a JSON document does not fit a schema.
func Validate(t testing.TB, name string, document []byte) {
	t.Helper()
	value, err := jsonschema.UnmarshalJSON(bytes.NewReader(document))
	if err != nil {
		t.Fatalf("%v: %s", err, document)
	}
	if err := Schema(t, name).Validate(value); err != nil {
		t.Errorf("it does not fit %s: %v\n%s", name, err, document)
	}
}

// ValidateValue fails the test when a value's JSON does not fit a schema.
func ValidateValue(t testing.TB, name string, value any) {
	t.Helper()
	document, err := json.Marshal(value)
	if err != nil {
		t.Fatal(err)
	}
	Validate(t, name, document)
}

// folder is where the schemas are in the source tree: in a folder above that of the package under test.
func folder(t testing.TB) string {
	t.Helper()
	at, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for ; at != "/"; at = filepath.Dir(at) {
		candidate := filepath.Join(at, "contract", "status.schema.json")
		if _, err := os.Stat(candidate); err == nil {
			return filepath.Dir(candidate)
		}
	}
	t.Fatal("the contract's schemas cannot be found above the package")
	return ""
}
