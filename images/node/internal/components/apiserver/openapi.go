package apiserver

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync"

	restful "github.com/emicklei/go-restful/v3"
	apiextensionsopenapi "k8s.io/apiextensions-apiserver/pkg/generated/openapi"
	genericapiserver "k8s.io/apiserver/pkg/server"
	"k8s.io/apiserver/pkg/server/mux"
	"k8s.io/apiserver/pkg/server/routes"
	"k8s.io/apiserver/pkg/util/openapi"
	aggregatorapiserver "k8s.io/kube-aggregator/pkg/apiserver"
	aggregatoropenapi "k8s.io/kube-aggregator/pkg/generated/openapi"
	"k8s.io/kube-openapi/pkg/builder"
	"k8s.io/kube-openapi/pkg/common"
	"k8s.io/kube-openapi/pkg/common/restfuladapter"
	"k8s.io/kube-openapi/pkg/handler"
	"k8s.io/kube-openapi/pkg/handler3"
	"k8s.io/kube-openapi/pkg/validation/spec"
	"k8s.io/kubernetes/cmd/kube-apiserver/app"
)

// Where servers have their OpenAPI documents: one of everything, and a list of one for each group and version, which are below it.
const (
	openAPIV2 = "/openapi/v2"
	openAPIV3 = "/openapi/v3"
)

// documentOnDemand has the OpenAPI documents of the groups that are built in made when somebody asks for one. The library would
// build all of them before the server is ready, and write all of those of version 3 out for the hashes in their list: a tenth of
// a start's work, and a third under emulation.
//
// The list has no hashes then. They are for clients to keep a document without asking whether it has changed; those of a list
// without ask, and are answered by the document's ETag. Groups that come and go, those of custom resources and of other servers, are
// documented by other servers of the chain, as before.
func documentOnDemand(server *aggregatorapiserver.APIAggregator, config *genericapiserver.Config) error {
	builtIn, ok := server.GenericAPIServer.NextDelegate().(*genericapiserver.GenericAPIServer)
	if !ok {
		return fmt.Errorf("the server of the built-in groups is a %T", server.GenericAPIServer.NextDelegate())
	}
	documents := newDocuments(builtIn.Handler.GoRestfulContainer, config.OpenAPIConfig, config.OpenAPIV3Config)
	return documents.register(builtIn.Handler.NonGoRestfulMux)
}

// documents are those of a container of web services.
type documents struct {
	config   *common.Config
	configV3 *common.OpenAPIV3Config
	// building is held while one is built: the library completes the configuration meanwhile.
	building sync.Mutex
	// all serves the document of everything.
	all func() http.Handler
	// groups serve one each, by paths without the slash before them, such as apis/apps/v1.
	groups map[string]func() http.Handler
}

func newDocuments(container *restful.Container, config *common.Config, configV3 *common.OpenAPIV3Config) *documents {
	d := &documents{config: config, configV3: configV3, groups: map[string]func() http.Handler{}}
	d.all = sync.OnceValue(func() http.Handler { return d.buildAll(container) })
	for _, service := range container.RegisteredWebServices() {
		d.groups[strings.TrimPrefix(service.RootPath(), "/")] = sync.OnceValue(func() http.Handler { return d.buildGroup(service) })
	}
	return d
}

// register serves them below their usual paths.
func (d *documents) register(paths *mux.PathRecorderMux) error {
	list := handler3.OpenAPIV3Discovery{Paths: map[string]handler3.OpenAPIV3DiscoveryGroupVersion{}}
	for name := range d.groups {
		list.Paths[name] = handler3.OpenAPIV3DiscoveryGroupVersion{ServerRelativeURL: openAPIV3 + "/" + name}
	}
	body, err := json.Marshal(list)
	if err != nil {
		return err
	}
	paths.HandleFunc(openAPIV3, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write(body) // whoever asked has gone if this fails
	})
	paths.HandlePrefix(openAPIV3+"/", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		group, found := d.groups[strings.TrimPrefix(r.URL.Path, openAPIV3+"/")]
		if !found {
			http.NotFound(w, r)
			return
		}
		group().ServeHTTP(w, r)
	}))
	paths.HandleFunc(openAPIV2, func(w http.ResponseWriter, r *http.Request) { d.all().ServeHTTP(w, r) })
	return nil
}

func (d *documents) buildAll(container *restful.Container) http.Handler {
	d.building.Lock()
	defer d.building.Unlock()
	// As routes.OpenAPI does, which would end the process if it failed.
	document, err := builder.BuildOpenAPISpecFromRoutes(restfuladapter.AdaptWebServices(container.RegisteredWebServices()), d.config)
	if err != nil {
		return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			http.Error(w, err.Error(), http.StatusInternalServerError)
		})
	}
	document.Definitions = handler.PruneDefaults(document.Definitions)
	served := mux.NewPathRecorderMux("openapi-v2")
	handler.NewOpenAPIService(document).RegisterOpenAPIVersionedService(openAPIV2, served)
	return served
}

func (d *documents) buildGroup(service *restful.WebService) http.Handler {
	d.building.Lock()
	defer d.building.Unlock()
	container := restful.NewContainer()
	container.Add(service)
	served := mux.NewPathRecorderMux("openapi-v3")
	routes.OpenAPI{V3Config: d.configV3}.InstallV3(container, served)
	return served
}

// defineOwnAlone lets the servers of custom resources and of the aggregation layer begin their documents of version 2 with the
// definitions of their own types, in place of everything that Kubernetes has.
func defineOwnAlone(config *app.Config) {
	for _, server := range []struct {
		config      *genericapiserver.Config
		definitions common.GetOpenAPIDefinitions
	}{
		{&config.ApiExtensions.GenericConfig.Config, apiextensionsopenapi.GetOpenAPIDefinitions},
		{&config.Aggregator.GenericConfig.Config, aggregatoropenapi.GetOpenAPIDefinitions},
	} {
		own := *server.config.OpenAPIConfig
		own.GetDefinitions = openapi.GetOpenAPIDefinitionsWithoutDisabledFeatures(server.definitions)
		server.config.OpenAPIConfig = &own
	}
}

// referringOnce makes a reference only once: the definitions have many to the same, and each would be parsed as a URL.
func referringOnce(definitions common.GetOpenAPIDefinitions) common.GetOpenAPIDefinitions {
	return func(refer common.ReferenceCallback) map[string]common.OpenAPIDefinition {
		known := map[string]spec.Ref{}
		return definitions(func(name string) spec.Ref {
			reference, found := known[name]
			if !found {
				reference = refer(name)
				known[name] = reference
			}
			return reference
		})
	}
}
