// Package bootstrap puts the objects into a cluster that the node's own parts rely on: their RBAC rules, classes, the DNS
// Service, the node's role labels. An object that is there already, from this version of the node, is left as it is, so
// that what an administrator changes stays changed until a newer node has something else to say about it.
package bootstrap

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"sync"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"k8s.io/klog/v2"

	"sandbar.dev/node/internal/components/apiserver"
)

// Name is the component's name.
const Name = "bootstrap"

// User is whom the client certificate must name, in the group Group: whoever makes RBAC rules needs all rights in them.
const (
	User  = "system:sandbar:bootstrap"
	Group = "system:masters"
)

const (
	// fieldManager owns the fields that are applied.
	fieldManager = "sandbar-bootstrap"
	// appliedAnnotation is the digest of what was applied.
	appliedAnnotation = "sandbar.dev/applied"
	// parallel is how many objects are looked at at a time.
	parallel = 8
	// firstRetry and lastRetry bound the time between two attempts at an object.
	firstRetry, lastRetry = 50 * time.Millisecond, 10 * time.Second
)

// Options are what is put into the cluster.
type Options struct {
	// Client is User's.
	Client *rest.Config
	// Objects are applied; those that other objects live in (namespaces) come first.
	Objects []runtime.Object
	// NodeName is the Node that gets NodeLabels; empty means no node.
	NodeName string
	// NodeLabels are the labels of the Node that are not the kubelet's own: those that it may not give itself, and those of
	// the configuration, which it would give to a new Node only. What an earlier start gave and is not among them is removed.
	NodeLabels map[string]string
}

// Bootstrap is the component.
type Bootstrap struct{ options Options }

// New returns the component.
func New(options Options) *Bootstrap { return &Bootstrap{options: options} }

// Name is "bootstrap".
func (*Bootstrap) Name() string { return Name }

// Needs is the API server.
func (*Bootstrap) Needs() []string { return []string{apiserver.Name} }

// Run applies the objects, is ready, and goes on to label the node once it has registered.
func (b *Bootstrap) Run(ctx context.Context, ready func()) error {
	config := rest.CopyConfig(b.options.Client)
	config.AcceptContentTypes, config.ContentType = "", ""
	client, err := dynamic.NewForConfig(config)
	if err != nil {
		return err
	}
	if err := applyAll(ctx, client, b.options.Objects); err != nil {
		if ctx.Err() != nil {
			return nil
		}
		return err
	}
	ready()
	if b.options.NodeName != "" {
		typed, err := kubernetes.NewForConfig(b.options.Client)
		if err != nil {
			return err
		}
		if err := labelNode(ctx, typed, b.options.NodeName, b.options.NodeLabels); err != nil && ctx.Err() == nil {
			return err
		}
	}
	<-ctx.Done()
	return nil
}

// Apply puts objects into a cluster once, as Run does. It is for seeds and tests.
func Apply(ctx context.Context, config *rest.Config, objects []runtime.Object) error {
	plain := rest.CopyConfig(config)
	plain.AcceptContentTypes, plain.ContentType = "", ""
	client, err := dynamic.NewForConfig(plain)
	if err != nil {
		return err
	}
	return applyAll(ctx, client, objects)
}

// applyAll applies in parallel, retrying each object until it is there or ctx ends.
func applyAll(ctx context.Context, client dynamic.Interface, objects []runtime.Object) error {
	prepared := make([]*unstructured.Unstructured, 0, len(objects))
	for _, object := range objects {
		one, err := prepare(object)
		if err != nil {
			return err
		}
		prepared = append(prepared, one)
	}
	var wait sync.WaitGroup
	slots := make(chan struct{}, parallel)
	for _, object := range prepared {
		slots <- struct{}{}
		wait.Go(func() {
			defer func() { <-slots }()
			persist(ctx, client, object)
		})
	}
	wait.Wait()
	return ctx.Err()
}

// persist repeats apply until it succeeds: namespaces, address ranges and admission may not be there yet.
func persist(ctx context.Context, client dynamic.Interface, object *unstructured.Unstructured) {
	for delay := firstRetry; ; delay = min(2*delay, lastRetry) {
		err := apply(ctx, client, object)
		if err == nil {
			return
		}
		if delay > time.Second {
			klog.FromContext(ctx).Error(err, "An object of the node could not be applied yet",
				"kind", object.GetKind(), "name", object.GetName())
		}
		timer := time.NewTimer(delay)
		select {
		case <-ctx.Done():
			timer.Stop()
			return
		case <-timer.C:
		}
	}
}

// apply makes or changes an object unless it was applied as it is before.
func apply(ctx context.Context, client dynamic.Interface, object *unstructured.Unstructured) error {
	// The resources of all kinds that come here have regular names.
	resource, _ := meta.UnsafeGuessKindToResource(object.GroupVersionKind())
	var target dynamic.ResourceInterface = client.Resource(resource)
	if namespace := object.GetNamespace(); namespace != "" {
		target = client.Resource(resource).Namespace(namespace)
	}
	present, err := target.Get(ctx, object.GetName(), metav1.GetOptions{})
	switch {
	case err == nil && present.GetAnnotations()[appliedAnnotation] == object.GetAnnotations()[appliedAnnotation]:
		return nil
	case err != nil && !apierrors.IsNotFound(err):
		return err
	}
	_, err = target.Apply(ctx, object.GetName(), object, metav1.ApplyOptions{FieldManager: fieldManager, Force: true})
	return err
}

// prepare turns an object into what is sent: with its kind, without what the server fills in, with its own digest.
func prepare(object runtime.Object) (*unstructured.Unstructured, error) {
	kinds, _, err := scheme.Scheme.ObjectKinds(object)
	if err != nil {
		return nil, fmt.Errorf("object of the node: %w", err)
	}
	fields, err := runtime.DefaultUnstructuredConverter.ToUnstructured(object)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", kinds[0].Kind, err)
	}
	prepared := &unstructured.Unstructured{Object: fields}
	prepared.SetGroupVersionKind(kinds[0])
	delete(fields, "status")
	unstructured.RemoveNestedField(fields, "metadata", "creationTimestamp")

	content, err := json.Marshal(fields)
	if err != nil {
		return nil, fmt.Errorf("%s %s: %w", kinds[0].Kind, prepared.GetName(), err)
	}
	digest := sha256.Sum256(content)
	annotations := prepared.GetAnnotations()
	if annotations == nil {
		annotations = map[string]string{}
	}
	annotations[appliedAnnotation] = hex.EncodeToString(digest[:8])
	prepared.SetAnnotations(annotations)
	return prepared, nil
}
