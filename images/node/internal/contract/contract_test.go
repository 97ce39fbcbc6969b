package contract_test

import (
	"encoding/json"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"sandbar.dev/node/internal/contract"
	"sandbar.dev/node/internal/contract/contracttest"
)

// schema is as much of a JSON Schema as the comparison with types needs.
type schema struct {
	Type       string             `json:"type"`
	Ref        string             `json:"$ref"`
	Required   []string           `json:"required"`
	Properties map[string]*schema `json:"properties"`
	Items      *schema            `json:"items"`
}

// TestTypesAndSchemasAgree: each field of a report's type is a property of its schema and the other way round, and exactly
// those that are always written are required.
func TestTypesAndSchemasAgree(t *testing.T) {
	for name, value := range map[string]any{
		"status.schema.json":  contract.Status{},
		"version.schema.json": contract.VersionReport{},
		"images.schema.json":  contract.ImageList{},
		"import.schema.json":  contract.ImportReport{},
		"host.schema.json":    contract.HostReport{},
	} {
		content, err := os.ReadFile(filepath.Join("../../../../contract", name))
		if err != nil {
			t.Fatal(err)
		}
		var root schema
		if err := json.Unmarshal(content, &root); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		compare(t, name, reflect.TypeOf(value), &root)
	}
}

func compare(t *testing.T, at string, kind reflect.Type, described *schema) {
	t.Helper()
	switch kind.Kind() {
	case reflect.Slice:
		if described.Items != nil {
			compare(t, at+"[]", kind.Elem(), described.Items)
		}
	case reflect.Struct:
		if kind == reflect.TypeFor[time.Time]() {
			return
		}
		var names, required []string
		for i := range kind.NumField() {
			name, options, _ := strings.Cut(kind.Field(i).Tag.Get("json"), ",")
			names = append(names, name)
			if options == "" {
				required = append(required, name)
			}
			if property := described.Properties[name]; property != nil {
				compare(t, at+"."+name, kind.Field(i).Type, property)
			}
		}
		slices.Sort(names)
		if properties := slices.Sorted(maps.Keys(described.Properties)); !slices.Equal(names, properties) {
			t.Errorf("%s: the type has %v, the schema %v", at, names, properties)
		}
		slices.Sort(required)
		slices.Sort(described.Required)
		if !slices.Equal(required, described.Required) {
			t.Errorf("%s: the type always writes %v, the schema requires %v", at, required, described.Required)
		}
	}
}

func TestWrongReportsDoNotFit(t *testing.T) {
	compiled := contracttest.Schema(t, "status.schema.json")
	for name, change := range map[string]func(map[string]any){
		"unknown state":  func(r map[string]any) { r["components"] = []any{map[string]any{"name": "etcd", "state": "fine"}} },
		"other version":  func(r map[string]any) { r["schemaVersion"] = 2 },
		"missing health": func(r map[string]any) { delete(r, "healthy") },
	} {
		report := map[string]any{}
		data, err := json.Marshal(contract.Status{
			SchemaVersion: 1, ContractVersion: 1, Components: []contract.Component{}, Phases: []contract.Phase{},
			Warnings: []contract.Warning{}, Ingress: contract.Ingress{Domains: []string{}, Hosts: []string{}},
			Network: contract.Network{ClusterNetwork: []string{}, ServiceNetwork: []string{}},
		})
		if err != nil {
			t.Fatal(err)
		}
		contracttest.Validate(t, "status.schema.json", data)
		if err := json.Unmarshal(data, &report); err != nil {
			t.Fatal(err)
		}
		change(report)
		if compiled.Validate(report) == nil {
			t.Errorf("%s: it must not fit", name)
		}
	}
}
