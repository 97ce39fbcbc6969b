package logging

import (
	"context"
	"runtime/pprof"
	"sync"
	"unsafe"
)

// profileLabels returns the current goroutine's pprof labels as an opaque pointer, the same for all goroutines that
// inherited them. runtime/pprof has no function for it; the runtime keeps this symbol's name and type for callers like
// this one (go.dev/issue/67401). Nothing here looks at what it points to.
//
//go:linkname profileLabels runtime/pprof.runtime_getProfLabel
func profileLabels() unsafe.Pointer

// components is which component a set of labels belongs to.
var components sync.Map // unsafe.Pointer → string

// Attribute makes the lines that the current goroutine, and each goroutine it starts from now on, writes through a logger
// without a component belong to the named component. The caller must have set pprof labels on the goroutine, with
// pprof.Do for example: their identity is what is remembered.
func Attribute(component string) {
	if labels := profileLabels(); labels != nil {
		components.Store(labels, component)
	}
}

// goroutineComponent is the component to which the current goroutine belongs.
func goroutineComponent() string {
	if labels := profileLabels(); labels != nil {
		if component, ok := components.Load(labels); ok {
			return component.(string)
		}
	}
	return Node
}

// Detach runs f without the labels of the goroutine that calls, for work that belongs to no component.
func Detach(f func()) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		pprof.SetGoroutineLabels(context.Background())
		f()
	}()
	<-done
}
