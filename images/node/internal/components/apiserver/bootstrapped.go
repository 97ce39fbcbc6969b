package apiserver

import (
	"context"
	"errors"
	"fmt"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"
	genericapiserver "k8s.io/apiserver/pkg/server"
	"k8s.io/client-go/rest"
	"k8s.io/klog/v2"
	rbacrest "k8s.io/kubernetes/pkg/registry/rbac/rest"
	schedulingrest "k8s.io/kubernetes/pkg/registry/scheduling/rest"
)

// bootstrapHooks write the objects that every cluster has: roles and priority classes. They begin with a sleep of a
// second, and /readyz waits for them.
var bootstrapHooks = []genericapiserver.PostStartHookProvider{
	rbacrest.RESTStorageProvider{}, schedulingrest.RESTStorageProvider{},
}

// lastBootstrapped are objects that the hooks write last, as keys of the datastore.
var lastBootstrapped = []string{
	"/registry/rolebindings/kube-public/system:controller:bootstrap-signer",
	"/registry/rolebindings/kube-system/system:controller:bootstrap-signer",
	"/registry/priorityclasses/system-node-critical",
	"/registry/priorityclasses/system-cluster-critical",
}

// bootstrapDelay is how long after the API server became ready the hooks run, if not before: what they do is then no
// part of the start.
const bootstrapDelay = 10 * time.Second

// isBootstrapped says whether the datastore has the hooks' objects, from a seed or an earlier start.
func isBootstrapped(ctx context.Context, endpoint string) (bool, error) {
	client, err := clientv3.New(clientv3.Config{Endpoints: []string{endpoint}, Context: ctx, Logger: zap.NewNop()})
	if err != nil {
		return false, fmt.Errorf("look into the datastore: %w", err)
	}
	defer func() { _ = client.Close() }() // only read from
	for _, key := range lastBootstrapped {
		answer, err := client.Get(ctx, key, clientv3.WithCountOnly())
		if err != nil {
			return false, fmt.Errorf("look into the datastore: %w", err)
		}
		if answer.Count == 0 {
			return false, nil
		}
	}
	return true, nil
}

// bootstrapLater runs the hooks once the start is over: they bring back what an administrator has removed, and bring what
// a newer Kubernetes adds.
func bootstrapLater(ctx context.Context, loopback *rest.Config) {
	timer := time.NewTimer(bootstrapDelay)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return
	case <-timer.C:
	}
	for _, provider := range bootstrapHooks {
		name, hook, err := provider.PostStartHook()
		if err == nil {
			err = hook(genericapiserver.PostStartHookContext{LoopbackClientConfig: loopback, Context: ctx})
		}
		if err != nil && !errors.Is(err, context.Canceled) {
			klog.FromContext(ctx).Error(err, "Objects that every cluster has could not be reconciled", "hook", name)
		}
	}
}
