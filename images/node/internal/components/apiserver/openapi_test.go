package apiserver

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"testing"

	restful "github.com/emicklei/go-restful/v3"
	"k8s.io/apiserver/pkg/server/mux"
	"k8s.io/kube-openapi/pkg/common"
	"k8s.io/kube-openapi/pkg/handler3"
	"k8s.io/kube-openapi/pkg/validation/spec"
)

// A document is built when it is asked for, and once; one of a group does not build those of the others.
func TestDocumentsAreBuiltOnDemand(t *testing.T) {
	built := map[string]int{}
	name := func(version string) func(common.Route) (string, []string, error) {
		return func(route common.Route) (string, []string, error) {
			built[version+route.Path()]++
			return route.Path(), nil, nil
		}
	}
	definitions := func(common.ReferenceCallback) map[string]common.OpenAPIDefinition {
		return map[string]common.OpenAPIDefinition{}
	}
	container := restful.NewContainer()
	for _, path := range []string{"/api/v1", "/apis/apps/v1"} {
		service := new(restful.WebService).Path(path).Produces(restful.MIME_JSON)
		container.Add(service.Route(service.GET("/things").To(func(*restful.Request, *restful.Response) {})))
	}
	info := &spec.Info{InfoProps: spec.InfoProps{Title: "Things"}}
	paths := mux.NewPathRecorderMux("test")
	if err := newDocuments(
		container,
		&common.Config{Info: info, GetDefinitions: definitions, GetOperationIDAndTagsFromRoute: name("2")},
		&common.OpenAPIV3Config{Info: info, GetDefinitions: definitions, GetOperationIDAndTagsFromRoute: name("3")},
	).register(paths); err != nil {
		t.Fatal(err)
	}
	get := func(path string) *httptest.ResponseRecorder {
		w := httptest.NewRecorder()
		paths.ServeHTTP(w, httptest.NewRequest(http.MethodGet, path, nil))
		return w
	}
	expect := func(path string, operations ...string) {
		t.Helper()
		clear(built)
		document := struct{ Paths map[string]any }{}
		if w := get(path); w.Code != http.StatusOK || json.Unmarshal(w.Body.Bytes(), &document) != nil {
			t.Errorf("%s: %d %s", path, w.Code, w.Body)
		}
		if len(document.Paths) == 0 {
			t.Errorf("%s is empty", path)
		}
		if len(built) != len(operations) {
			t.Errorf("%s built %v", path, built)
		}
		for _, operation := range operations {
			if built[operation] != 1 {
				t.Errorf("%s built %v", path, built)
			}
		}
	}
	expect("/openapi/v3")
	expect("/openapi/v3/apis/apps/v1", "3/apis/apps/v1/things")
	expect("/openapi/v3/apis/apps/v1")
	expect("/openapi/v2", "2/api/v1/things", "2/apis/apps/v1/things")
	expect("/openapi/v2")

	list := handler3.OpenAPIV3Discovery{}
	if err := json.Unmarshal(get("/openapi/v3").Body.Bytes(), &list); err != nil {
		t.Fatal(err)
	}
	if url := list.Paths["apis/apps/v1"].ServerRelativeURL; url != "/openapi/v3/apis/apps/v1" || len(list.Paths) != 2 {
		t.Errorf("list: %v", list)
	}
	if w := get("/openapi/v3/apis/none/v1"); w.Code != http.StatusNotFound {
		t.Errorf("a group that is not there: %d", w.Code)
	}
}

func TestReferringOnce(t *testing.T) {
	asked := 0
	refer := func(name string) spec.Ref {
		asked++
		return spec.MustCreateRef("#/" + name)
	}
	definitions := referringOnce(func(refer common.ReferenceCallback) map[string]common.OpenAPIDefinition {
		if a, b := refer("a"), refer("b"); a.String() != "#/a" || b.String() != "#/b" {
			t.Errorf("references: %s, %s", a.String(), b.String())
		}
		if again := refer("a"); again.String() != "#/a" {
			t.Errorf("the second reference: %s", again.String())
		}
		return nil
	})
	definitions(refer)
	if asked != 2 {
		t.Errorf("%d references were made", asked)
	}
	// Whoever asks the next time may want others.
	definitions(refer)
	if asked != 4 {
		t.Errorf("%d references were made", asked)
	}
}
