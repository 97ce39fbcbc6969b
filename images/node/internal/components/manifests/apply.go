package manifests

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/discovery/cached/memory"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/restmapper"
	"k8s.io/client-go/tools/cache"
	watchtools "k8s.io/client-go/tools/watch"
)

const (
	// fieldManager is the name under which the node owns the fields that it applies.
	fieldManager = "sandbar-manifests"
	// requestTimeout limits one request; webhooks among them may be slow.
	requestTimeout = 40 * time.Second
	// establishTimeout is how long a new definition may take to be served.
	establishTimeout = 30 * time.Second
)

// applier applies and deletes objects of any kind.
type applier struct {
	client dynamic.Interface
	mapper *restmapper.DeferredDiscoveryRESTMapper
}

func newApplier(config *rest.Config) (*applier, error) {
	config = rest.CopyConfig(config)
	// Objects of any kind have no protobuf.
	config.ContentType, config.AcceptContentTypes = runtime.ContentTypeJSON, runtime.ContentTypeJSON
	config.Timeout = requestTimeout
	client, err := dynamic.NewForConfig(config)
	if err != nil {
		return nil, fmt.Errorf("client: %w", err)
	}
	discoverer, err := discovery.NewDiscoveryClientForConfig(config)
	if err != nil {
		return nil, fmt.Errorf("discovery client: %w", err)
	}
	return &applier{
		client: client,
		mapper: restmapper.NewDeferredDiscoveryRESTMapper(memory.NewMemCacheClient(discoverer)),
	}, nil
}

// source applies or deletes one source's objects and returns how many there are. It goes on after an object that fails.
func (a *applier) source(ctx context.Context, s source) (int, error) {
	objects, err := s.load()
	if err != nil {
		return 0, err
	}
	if s.remove {
		slices.Reverse(objects)
	}
	var failures []error
	var definitions []*unstructured.Unstructured
	for _, object := range objects {
		if len(definitions) > 0 && !isDefinition(object) {
			if err := a.waitForDefinitions(ctx, definitions); err != nil {
				failures = append(failures, err)
			}
			definitions = nil
		}
		work := a.apply
		if s.remove {
			work = a.remove
		}
		if err := work(ctx, object); err != nil {
			failures = append(failures, fmt.Errorf("%s %s: %w", object.GetKind(), fullName(object), err))
			continue
		}
		if !s.remove && isDefinition(object) {
			definitions = append(definitions, object)
		}
	}
	return len(objects), errors.Join(failures...)
}

func (a *applier) apply(ctx context.Context, object *unstructured.Unstructured) error {
	resource, err := a.resource(object)
	if err != nil {
		return err
	}
	_, err = resource.Apply(ctx, object.GetName(), object, metav1.ApplyOptions{FieldManager: fieldManager, Force: true})
	return err
}

func (a *applier) remove(ctx context.Context, object *unstructured.Unstructured) error {
	resource, err := a.resource(object)
	if meta.IsNoMatchError(err) {
		return nil // without its kind, it cannot be there
	}
	if err != nil {
		return err
	}
	background := metav1.DeletePropagationBackground
	err = resource.Delete(ctx, object.GetName(), metav1.DeleteOptions{PropagationPolicy: &background})
	if apierrors.IsNotFound(err) {
		return nil
	}
	return err
}

// resource is where the object is served. A kind that is not known may have come since: it is asked for once more.
func (a *applier) resource(object *unstructured.Unstructured) (dynamic.ResourceInterface, error) {
	kind := object.GroupVersionKind()
	mapping, err := a.mapper.RESTMapping(kind.GroupKind(), kind.Version)
	if meta.IsNoMatchError(err) {
		a.mapper.Reset()
		mapping, err = a.mapper.RESTMapping(kind.GroupKind(), kind.Version)
	}
	if err != nil {
		return nil, err
	}
	if mapping.Scope.Name() != meta.RESTScopeNameNamespace {
		return a.client.Resource(mapping.Resource), nil
	}
	namespace := object.GetNamespace()
	if namespace == "" {
		namespace = metav1.NamespaceDefault
	}
	return a.client.Resource(mapping.Resource).Namespace(namespace), nil
}

// waitForDefinitions returns when the API server serves what was defined.
func (a *applier) waitForDefinitions(ctx context.Context, definitions []*unstructured.Unstructured) error {
	ctx, cancel := context.WithTimeout(ctx, establishTimeout)
	defer cancel()
	for _, definition := range definitions {
		resource, err := a.resource(definition)
		if err != nil {
			return err
		}
		selector := fields.OneTermEqualSelector("metadata.name", definition.GetName()).String()
		lister := &cache.ListWatch{
			ListWithContextFunc: func(ctx context.Context, options metav1.ListOptions) (runtime.Object, error) {
				options.FieldSelector = selector
				return resource.List(ctx, options)
			},
			WatchFuncWithContext: func(ctx context.Context, options metav1.ListOptions) (watch.Interface, error) {
				options.FieldSelector = selector
				return resource.Watch(ctx, options)
			},
		}
		if _, err := watchtools.UntilWithSync(ctx, lister, &unstructured.Unstructured{}, nil, established); err != nil {
			return fmt.Errorf("CustomResourceDefinition %s is not served after %s: %w",
				definition.GetName(), establishTimeout, err)
		}
	}
	a.mapper.Reset()
	return nil
}

func established(event watch.Event) (bool, error) {
	object, ok := event.Object.(*unstructured.Unstructured)
	if !ok {
		return false, nil
	}
	// The field is null until there is one.
	field, _, err := unstructured.NestedFieldNoCopy(object.Object, "status", "conditions")
	if err != nil {
		return false, err
	}
	conditions, _ := field.([]any)
	for _, item := range conditions {
		condition, ok := item.(map[string]any)
		if ok && condition["type"] == "Established" && condition["status"] == "True" {
			return true, nil
		}
	}
	return false, nil
}

func fullName(object *unstructured.Unstructured) string {
	if namespace := object.GetNamespace(); namespace != "" {
		return namespace + "/" + object.GetName()
	}
	return object.GetName()
}
