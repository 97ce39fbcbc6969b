package controlplanetest

import (
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"
)

// storedValue is what the datastore holds under a key.
func storedValue(t *testing.T, plane *Plane, key string) string {
	t.Helper()
	client, err := clientv3.New(clientv3.Config{
		Endpoints: []string{"unix://" + plane.EtcdSocket()}, DialTimeout: 5 * time.Second, Logger: zap.NewNop(),
	})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = client.Close() }() // only read from
	response, err := client.Get(t.Context(), key)
	if err != nil || len(response.Kvs) != 1 {
		t.Fatalf("%s: %v %v", key, response, err)
	}
	return string(response.Kvs[0].Value)
}
