// Package seed makes the datastore with which every cluster of an image begins. An API server on an empty datastore spends
// about a second on hundreds of small writes (RBAC rules, priority levels); the seed has them done.
//
// What makes one cluster differ from another is not in it: namespaces with their UIDs, the API server's Service, leases,
// secrets, authorities. Only kinds that are listed here are kept, so what a newer Kubernetes adds is left out by default.
// Nor is what differs from one run to the next (times, random UIDs): an image is the same whenever it is built.
package seed

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
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

	plane, err := controlplane.Start(ctx, filepath.Join(dir, "plane"), "")
	if err != nil {
		return err
	}
	kept, err := collect(ctx, plane, objects)
	if err = errors.Join(err, plane.Stop()); err != nil {
		return err
	}
	database, err := store(ctx, filepath.Join(dir, "etcd"), kept)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(output, 0o755); err != nil {
		return err
	}
	return strip(database, filepath.Join(output, FileName))
}

// collect waits until the API server has written all that it writes, applies the objects, and returns what is kept of the
// datastore: values by keys, without what differs from one run to the next.
func collect(ctx context.Context, plane *controlplane.Plane, objects []runtime.Object) (map[string][]byte, error) {
	if err := bootstrap.Apply(ctx, plane.Admin, objects); err != nil {
		return nil, err
	}
	if err := waitForFlowControl(ctx, plane.Admin); err != nil {
		return nil, err
	}
	client, err := connect(plane.EtcdSocket())
	if err != nil {
		return nil, err
	}
	defer func() { _ = client.Close() }() // only read from
	kept := map[string][]byte{}
	for _, kind := range keptKinds() {
		response, err := client.Get(ctx, kind, clientv3.WithPrefix())
		if err != nil {
			return nil, err
		}
		if len(response.Kvs) == 0 {
			return nil, fmt.Errorf("the datastore has nothing under %s: its layout has changed", kind)
		}
		for _, pair := range response.Kvs {
			if kept[string(pair.Key)], err = normalize(string(pair.Key), pair.Value); err != nil {
				return nil, fmt.Errorf("%s: %w", pair.Key, err)
			}
		}
	}
	return kept, nil
}

// store writes the values into a new datastore, in the order of their keys, and returns its database.
func store(ctx context.Context, dir string, values map[string][]byte) (_ string, err error) {
	socket := dir + ".sock"
	stop, err := startDatastore(ctx, dir, socket)
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, stop()) }()
	client, err := connect(socket)
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, client.Close()) }()
	for _, key := range slices.Sorted(maps.Keys(values)) {
		if _, err := client.Put(ctx, key, string(values[key])); err != nil {
			return "", err
		}
	}
	return filepath.Join(dir, "member", "snap", "db"), nil
}

func connect(socket string) (*clientv3.Client, error) {
	return clientv3.New(clientv3.Config{
		Endpoints: []string{"unix://" + socket}, DialTimeout: 10 * time.Second, Logger: zap.NewNop(),
	})
}
