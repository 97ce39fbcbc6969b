package apiserver

import (
	"fmt"
	"maps"
	"net/http"
	"sync/atomic"

	genericapiserver "k8s.io/apiserver/pkg/server"
	"k8s.io/apiserver/pkg/util/responsewriter"
	aggregatorapiserver "k8s.io/kube-aggregator/pkg/apiserver"
)

// openAPIGroups is where a server lists the groups of which it has an OpenAPI document.
const openAPIGroups = "/openapi/v3"

// listGroupsOnce has the list of the groups that are built in made once. The aggregator asks for it each second (kube-aggregator,
// controllers/openapiv3, successfulUpdateDelayLocal), and making it takes two goroutines a group: for an idle node, a third of all
// that it did. Groups that come and go, those of custom resources and of other servers, are listed by other servers of the
// chain, which are asked as before.
func listGroupsOnce(server *aggregatorapiserver.APIAggregator) error {
	builtIn, ok := server.GenericAPIServer.NextDelegate().(*genericapiserver.GenericAPIServer)
	if !ok {
		return fmt.Errorf("the server of the built-in groups is a %T", server.GenericAPIServer.NextDelegate())
	}
	builtIn.Handler.Director = once(openAPIGroups, builtIn.Handler.Director)
	return nil
}

// once remembers the first good answer for a path, where the request has no wishes.
func once(path string, handler http.Handler) http.Handler {
	type answer struct {
		code   int
		header http.Header
		body   []byte
	}
	var known atomic.Pointer[answer]
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != path || r.Method != http.MethodGet || len(r.Header) > 0 {
			handler.ServeHTTP(w, r)
			return
		}
		given := known.Load()
		if given == nil {
			fresh := responsewriter.NewInMemoryResponseWriter()
			handler.ServeHTTP(fresh, r)
			given = &answer{code: fresh.RespCode(), header: fresh.Header(), body: fresh.Data()}
			if given.code == http.StatusOK {
				known.Store(given)
			}
		}
		maps.Copy(w.Header(), given.header)
		w.WriteHeader(given.code)
		_, _ = w.Write(given.body) // whoever asked has gone if this fails
	})
}
