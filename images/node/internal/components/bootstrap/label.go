package bootstrap

import (
	"context"
	"encoding/json"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"
	watchtools "k8s.io/client-go/tools/watch"
)

// labelNode waits until the node has registered and gives it the labels that it lacks.
func labelNode(ctx context.Context, client kubernetes.Interface, name string, labels map[string]string) error {
	selector := fields.OneTermEqualSelector("metadata.name", name)
	source := cache.NewListWatchFromClient(client.CoreV1().RESTClient(), "nodes", metav1.NamespaceAll, selector)
	_, err := watchtools.UntilWithSync(ctx, source, &corev1.Node{}, nil, func(event watch.Event) (bool, error) {
		node, ok := event.Object.(*corev1.Node)
		if !ok || event.Type == watch.Deleted {
			return false, nil
		}
		missing := map[string]string{}
		for key, value := range labels {
			if present, ok := node.Labels[key]; !ok || present != value {
				missing[key] = value
			}
		}
		if len(missing) == 0 {
			return true, nil
		}
		patch, err := json.Marshal(map[string]any{"metadata": map[string]any{"labels": missing}})
		if err != nil {
			return false, err
		}
		_, err = client.CoreV1().Nodes().Patch(ctx, name, types.MergePatchType, patch, metav1.PatchOptions{})
		return err == nil, err
	})
	if err != nil {
		return fmt.Errorf("label node %s: %w", name, err)
	}
	return nil
}
