package controlplanetest

import (
	"context"
	"encoding/json"
	"testing"
	"time"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	apiextensions "k8s.io/apiextensions-apiserver/pkg/client/clientset/clientset"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/kubernetes"
)

// TestOpenAPIFollowsCustomResources: the list of groups with an OpenAPI document, by which kubectl explains and checks
// objects, has the groups that are built in and those of custom resources as they come.
func TestOpenAPIFollowsCustomResources(t *testing.T) {
	plane := Start(t)
	client := kubernetes.NewForConfigOrDie(plane.Admin).Discovery().RESTClient()
	has := func(group string) func(context.Context) (bool, error) {
		return func(ctx context.Context) (bool, error) {
			var list struct{ Paths map[string]any }
			body, err := client.Get().AbsPath("/openapi/v3").DoRaw(ctx)
			if err == nil {
				err = json.Unmarshal(body, &list)
			}
			return list.Paths[group] != nil, err
		}
	}
	expect := func(group string) {
		t.Helper()
		if err := wait.PollUntilContextTimeout(t.Context(), 20*time.Millisecond, 30*time.Second, true, has(group)); err != nil {
			t.Errorf("%s: %v", group, err)
		}
	}
	expect("api/v1")
	expect("apis/apps/v1")
	expect("apis/apiregistration.k8s.io/v1")

	const group = "openapi.example.com"
	anything := true
	_, err := apiextensions.NewForConfigOrDie(plane.Admin).ApiextensionsV1().CustomResourceDefinitions().Create(
		t.Context(), &apiextensionsv1.CustomResourceDefinition{
			ObjectMeta: metav1.ObjectMeta{Name: "things." + group},
			Spec: apiextensionsv1.CustomResourceDefinitionSpec{
				Group: group, Scope: apiextensionsv1.NamespaceScoped,
				Names: apiextensionsv1.CustomResourceDefinitionNames{Plural: "things", Singular: "thing", Kind: "Thing", ListKind: "ThingList"},
				Versions: []apiextensionsv1.CustomResourceDefinitionVersion{{
					Name: "v1", Served: true, Storage: true,
					Schema: &apiextensionsv1.CustomResourceValidation{OpenAPIV3Schema: &apiextensionsv1.JSONSchemaProps{
						Type: "object", XPreserveUnknownFields: &anything,
					}},
				}},
			},
		}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	expect("apis/" + group + "/v1")
	expect("apis/apps/v1")
}

// TestOpenAPIOfEverything: each group in the list has its document, and the one of version 2 has what all servers of the chain serve.
func TestOpenAPIOfEverything(t *testing.T) {
	plane := Start(t)
	client := kubernetes.NewForConfigOrDie(plane.Admin).Discovery().RESTClient()
	get := func(path string, into any) {
		t.Helper()
		body, err := client.Get().RequestURI(path).SetHeader("Accept", "application/json").DoRaw(t.Context())
		if err == nil {
			err = json.Unmarshal(body, into)
		}
		if err != nil {
			t.Fatalf("%s: %v", path, err)
		}
	}
	list := struct {
		Paths map[string]struct{ ServerRelativeURL string }
	}{}
	get("/openapi/v3", &list)
	if len(list.Paths) < 30 {
		t.Errorf("the list has %d groups", len(list.Paths))
	}
	for name, group := range list.Paths {
		var document struct {
			OpenAPI string
			Paths   map[string]any
		}
		get(group.ServerRelativeURL, &document)
		if document.OpenAPI == "" || len(document.Paths) == 0 {
			t.Errorf("%s has the document %+v", name, document)
		}
	}
	apps := struct {
		Components struct{ Schemas map[string]map[string]any }
	}{}
	get("/openapi/v3/apis/apps/v1", &apps)
	for schema, kinds := range map[string]int{"io.k8s.api.apps.v1.Deployment": 1, "io.k8s.apimachinery.pkg.apis.meta.v1.DeleteOptions": 2} {
		// Those of other groups are not listed.
		if found, _ := apps.Components.Schemas[schema]["x-kubernetes-group-version-kind"].([]any); len(found) != kinds {
			t.Errorf("%s is of the kinds %v", schema, found)
		}
	}

	all := struct {
		Paths       map[string]any
		Definitions map[string]any
	}{}
	get("/openapi/v2", &all)
	for _, path := range []string{"/api/v1/pods", "/apis/apps/v1/deployments", "/apis/apiextensions.k8s.io/v1/customresourcedefinitions", "/apis/apiregistration.k8s.io/v1/apiservices"} {
		if all.Paths[path] == nil {
			t.Errorf("%s is missing in the document of version 2", path)
		}
	}
	for _, name := range []string{
		"io.k8s.api.core.v1.Pod", "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.CustomResourceDefinition",
		"io.k8s.kube-aggregator.pkg.apis.apiregistration.v1.APIService",
	} {
		if all.Definitions[name] == nil {
			t.Errorf("%s is missing in the document of version 2", name)
		}
	}
}
