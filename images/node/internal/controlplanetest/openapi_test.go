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
