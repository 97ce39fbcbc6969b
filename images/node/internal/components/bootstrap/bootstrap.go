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
	"slices"
	"sync"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"k8s.io/klog/v2"

	"sandbar.dev/node/internal/components/apiserver"
)

// Name is the component's name.
const Name = "bootstrap"

// User is whom the client certificate must name. Its rights are those of [ClusterRole].
const User = "system:sandbar:" + Name

// MastersGroup is the group that RBAC never refuses. [Options.Masters] is in it.
const MastersGroup = "system:masters"

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
	// Role is [ClusterRole] and its binding, which are in the seed of an image.
	Role []runtime.Object
	// Masters makes a client that nothing is refused to. It is asked for only where User has no rights yet, because the
	// datastore did not begin with a seed, and used for nothing but Role.
	Masters func() (*rest.Config, error)
	// Objects are applied, and Absent are deleted.
	Objects, Absent []runtime.Object
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
	client, err := dynamicClient(b.options.Client)
	if err != nil {
		return err
	}
	if err := b.settle(ctx, client); err != nil {
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

// settle makes the cluster's objects what they have to be.
func (b *Bootstrap) settle(ctx context.Context, client dynamic.Interface) error {
	if err := b.ensureRights(ctx, client); err != nil {
		return err
	}
	if err := each(ctx, client, slices.Concat(b.options.Role, b.options.Objects), apply); err != nil {
		return err
	}
	return each(ctx, client, b.options.Absent, remove)
}

// ensureRights sees to it that User may go on: with an older role of its own it may replace that, and without one Masters
// does.
func (b *Bootstrap) ensureRights(ctx context.Context, client dynamic.Interface) error {
	if len(b.options.Role) == 0 || b.options.Masters == nil {
		return nil
	}
	role, err := prepare(b.options.Role[0])
	if err != nil {
		return err
	}
	if err := apply(ctx, client, role); !apierrors.IsForbidden(err) {
		return nil // anything else comes again when it is applied with the other objects
	}
	klog.FromContext(ctx).Info("The datastore has no rights for this component yet")
	masters, err := b.options.Masters()
	if err != nil {
		return err
	}
	return Apply(ctx, masters, b.options.Role)
}

// Apply puts objects into a cluster once, as Run does. It is for seeds and tests.
func Apply(ctx context.Context, config *rest.Config, objects []runtime.Object) error {
	client, err := dynamicClient(config)
	if err != nil {
		return err
	}
	return each(ctx, client, objects, apply)
}

// dynamicClient is a client of objects as JSON.
func dynamicClient(config *rest.Config) (dynamic.Interface, error) {
	plain := rest.CopyConfig(config)
	plain.AcceptContentTypes, plain.ContentType = "", ""
	return dynamic.NewForConfig(plain)
}

// action is what is done with one object.
type action func(context.Context, dynamic.Interface, *unstructured.Unstructured) error

// each does it with all objects in parallel, retrying until it has succeeded or ctx ends.
func each(ctx context.Context, client dynamic.Interface, objects []runtime.Object, do action) error {
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
			persist(ctx, client, object, do)
		})
	}
	wait.Wait()
	return ctx.Err()
}

// persist repeats it until it succeeds: namespaces, address ranges, admission and new rights may not be there yet.
func persist(ctx context.Context, client dynamic.Interface, object *unstructured.Unstructured, do action) {
	for delay := firstRetry; ; delay = min(2*delay, lastRetry) {
		err := do(ctx, client, object)
		if err == nil {
			return
		}
		if delay > time.Second {
			klog.FromContext(ctx).Error(err, "An object of the node is not as it should be yet",
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
	target := place(client, object)
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

// remove deletes an object if it is there.
func remove(ctx context.Context, client dynamic.Interface, object *unstructured.Unstructured) error {
	err := place(client, object).Delete(ctx, object.GetName(), metav1.DeleteOptions{})
	if apierrors.IsNotFound(err) {
		return nil
	}
	return err
}

// place is where an object of its kind and namespace is read and written.
func place(client dynamic.Interface, object *unstructured.Unstructured) dynamic.ResourceInterface {
	resource := client.Resource(resourceOf(object.GroupVersionKind()))
	if namespace := object.GetNamespace(); namespace != "" {
		return resource.Namespace(namespace)
	}
	return resource
}

// resourceOf is the resource of a kind: all kinds that come here have regular names.
func resourceOf(kind schema.GroupVersionKind) schema.GroupVersionResource {
	resource, _ := meta.UnsafeGuessKindToResource(kind)
	return resource
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
