// Package seed makes the datastore with which every cluster of an image begins. An API server on an empty datastore spends
// about a second on hundreds of small writes (RBAC rules, priority levels); the seed has them done.
//
// What makes one cluster differ from another is not in it: namespaces with their UIDs, the API server's Service, leases,
// secrets, authorities. Only kinds that are listed here are kept, so what a newer Kubernetes adds is left out by default.
package seed

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"
	"k8s.io/apimachinery/pkg/runtime"

	"sandbar.dev/node/internal/components/bootstrap"
	"sandbar.dev/node/internal/controlplane"
)

// FileName is the seed's name in its folder.
const FileName = "etcd.db"

// keptKinds are the folders of the datastore that are the same in all clusters.
func keptKinds() []string {
	return []string{
		"/registry/clusterroles/", "/registry/clusterrolebindings/", "/registry/roles/", "/registry/rolebindings/",
		"/registry/priorityclasses/", "/registry/flowschemas/", "/registry/prioritylevelconfigurations/",
		"/registry/ingressclasses/", "/registry/storageclasses/", "/registry/csidrivers/",
		"/registry/apiregistration.k8s.io/apiservices/",
	}
}

// Write makes the seed and puts it into the folder output, which is made if it is missing. objects are applied as the
// node's bootstrap applies them.
func Write(ctx context.Context, output string, objects []runtime.Object) (err error) {
	dir, err := os.MkdirTemp("", "sandbar-seed-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()

	plane, err := controlplane.Start(ctx, dir, "")
	if err != nil {
		return err
	}
	err = fill(ctx, plane, objects)
	if err = errors.Join(err, plane.Stop()); err != nil {
		return err
	}
	database := filepath.Join(plane.EtcdDir(), "member", "snap", "db")
	if err := prune(ctx, plane); err != nil {
		return err
	}
	if err := os.MkdirAll(output, 0o755); err != nil {
		return err
	}
	return strip(database, filepath.Join(output, FileName))
}

// fill waits until the API server has written all that it writes, and applies the objects.
func fill(ctx context.Context, plane *controlplane.Plane, objects []runtime.Object) error {
	if err := bootstrap.Apply(ctx, plane.Admin, objects); err != nil {
		return err
	}
	return waitForFlowControl(ctx, plane.Admin)
}

// prune removes from the stopped control plane's datastore what is not kept, and its history.
func prune(ctx context.Context, plane *controlplane.Plane) (err error) {
	stop, err := startDatastore(ctx, plane)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, stop()) }()
	client, err := clientv3.New(clientv3.Config{
		Endpoints: []string{"unix://" + plane.EtcdSocket()}, DialTimeout: 10 * time.Second, Logger: zap.NewNop(),
	})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, client.Close()) }()

	all, err := client.Get(ctx, "", clientv3.WithFromKey(), clientv3.WithKeysOnly())
	if err != nil {
		return err
	}
	kept := 0
	for _, pair := range all.Kvs {
		key := string(pair.Key)
		if slices.ContainsFunc(keptKinds(), func(kind string) bool { return strings.HasPrefix(key, kind) }) {
			kept++
			continue
		}
		if _, err := client.Delete(ctx, key); err != nil {
			return fmt.Errorf("delete %s: %w", key, err)
		}
	}
	if kept == 0 {
		return errors.New("nothing in the datastore was to be kept: its layout has changed")
	}
	// All that is left gets one more revision, so that the whole history can go.
	last, err := client.Get(ctx, "/", clientv3.WithPrefix(), clientv3.WithCountOnly())
	if err != nil {
		return err
	}
	_, err = client.Compact(ctx, last.Header.Revision, clientv3.WithCompactPhysical())
	return err
}
