package apiserver

import (
	"net/http"
	"net/http/httptest"
	"testing"
)

func TestOnceRemembersGoodAnswersAlone(t *testing.T) {
	asked := 0
	handler := once(openAPIGroups, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked++
		if asked == 1 {
			w.WriteHeader(http.StatusNotFound)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write([]byte(r.URL.Path))
	}))
	ask := func(method, path, accept string) *httptest.ResponseRecorder {
		r := httptest.NewRequest(method, path, nil)
		if accept != "" {
			r.Header.Set("Accept", accept)
		}
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, r)
		return w
	}
	if w := ask("GET", openAPIGroups, ""); w.Code != http.StatusNotFound {
		t.Errorf("the first answer is %d", w.Code)
	}
	for range 3 {
		w := ask("GET", openAPIGroups, "")
		if w.Code != http.StatusOK || w.Body.String() != openAPIGroups || w.Header().Get("Content-Type") != "application/json" {
			t.Errorf("answer: %d %s %v", w.Code, w.Body, w.Header())
		}
	}
	if asked != 2 {
		t.Errorf("the handler was asked %d times", asked)
	}
	ask("GET", openAPIGroups+"/apis/apps/v1", "")
	ask("HEAD", openAPIGroups, "")
	ask("GET", openAPIGroups, "text/plain")
	if asked != 5 {
		t.Errorf("of three other requests, %d came through", asked-2)
	}
}
