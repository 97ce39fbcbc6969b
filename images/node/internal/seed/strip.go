package seed

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/coreos/go-semver/semver"
	bolt "go.etcd.io/bbolt"
	"go.etcd.io/etcd/api/v3/version"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"sandbar.dev/node/internal/components/etcd"
)

// openTimeout is how long another process may hold the database.
const openTimeout = 5 * time.Second

// startDatastore runs etcd alone.
func startDatastore(ctx context.Context, dir, socket string) (stop func() error, err error) {
	ctx, cancel := context.WithCancel(ctx)
	server := etcd.New(etcd.Options{DataDir: dir, Socket: socket})
	ready, ended := make(chan struct{}), make(chan error, 1)
	go func() { ended <- server.Run(ctx, func() { close(ready) }) }()
	select {
	case <-ready:
		return func() error { cancel(); return <-ended }, nil
	case err := <-ended:
		cancel()
		return nil, errors.Join(errors.New("the datastore did not start"), err)
	}
}

// waitForFlowControl returns when the objects of priority and fairness are there: the API server is ready before them.
func waitForFlowControl(ctx context.Context, config *rest.Config) error {
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return err
	}
	return wait.PollUntilContextTimeout(ctx, 50*time.Millisecond, time.Minute, true, func(ctx context.Context) (bool, error) {
		// The last that are written are those that may be changed: "global-default" is one of them.
		_, err := client.FlowcontrolV1().FlowSchemas().Get(ctx, "global-default", metav1.GetOptions{})
		return err == nil, nil
	})
}

// strip copies the database without what belongs to the member that wrote it: who it is, and how far its log went. With
// it, a new member with an empty log would take its first writes for old ones. etcd's own restore does the same.
func strip(from, to string) (err error) {
	source, err := bolt.Open(from, 0o600, &bolt.Options{Timeout: openTimeout})
	if err != nil {
		return fmt.Errorf("open the datastore: %w", err)
	}
	defer func() { err = errors.Join(err, source.Close()) }()
	err = source.Update(func(tx *bolt.Tx) error {
		for _, name := range []string{"members", "members_removed", "cluster", "lease", "alarm"} {
			bucket := []byte(name)
			if tx.Bucket(bucket) == nil {
				continue
			}
			if err := tx.DeleteBucket(bucket); err != nil {
				return fmt.Errorf("bucket %s: %w", name, err)
			}
			if _, err := tx.CreateBucket(bucket); err != nil {
				return fmt.Errorf("bucket %s: %w", name, err)
			}
		}
		meta := tx.Bucket([]byte("meta"))
		if meta == nil {
			return errors.New("the datastore has no bucket meta")
		}
		for _, key := range []string{"consistent_index", "term", "confState"} {
			if err := meta.Delete([]byte(key)); err != nil {
				return fmt.Errorf("key %s: %w", key, err)
			}
		}
		// etcd writes it some time after its start; without it the next start cannot tell the schema's version.
		current, err := semver.NewVersion(version.Version)
		if err != nil {
			return err
		}
		schema := semver.Version{Major: current.Major, Minor: current.Minor}
		return meta.Put([]byte("storageVersion"), []byte(schema.String()))
	})
	if err != nil {
		return err
	}
	if err := os.Remove(to); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	target, err := bolt.Open(to, 0o644, &bolt.Options{Timeout: openTimeout, NoFreelistSync: true})
	if err != nil {
		return fmt.Errorf("open the seed: %w", err)
	}
	err = bolt.Compact(target, source, 0)
	return errors.Join(err, target.Sync(), target.Close())
}
