package bootstrap

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"
	watchtools "k8s.io/client-go/tools/watch"
)

// labelsAnnotation names the labels of a Node that came from here, comma-separated: those are removed again when they are
// asked for no more. All other labels are somebody else's.
const labelsAnnotation = "sandbar.dev/node-labels"

// labelNode waits until the node has registered, gives it the labels, and takes those away that an earlier start gave it.
func labelNode(ctx context.Context, client kubernetes.Interface, name string, labels map[string]string) error {
	selector := fields.OneTermEqualSelector("metadata.name", name)
	source := cache.NewListWatchFromClient(client.CoreV1().RESTClient(), "nodes", metav1.NamespaceAll, selector)
	_, err := watchtools.UntilWithSync(ctx, source, &corev1.Node{}, nil, func(event watch.Event) (bool, error) {
		node, ok := event.Object.(*corev1.Node)
		if !ok || event.Type == watch.Deleted {
			return false, nil
		}
		patch, err := labelPatch(node, labels)
		if err != nil || patch == nil {
			return err == nil, err
		}
		_, err = client.CoreV1().Nodes().Patch(ctx, name, types.MergePatchType, patch, metav1.PatchOptions{})
		return err == nil, err
	})
	if err != nil {
		return fmt.Errorf("label node %s: %w", name, err)
	}
	return nil
}

// labelPatch is the merge patch that makes a node's labels what is wanted; nil when they are.
func labelPatch(node *corev1.Node, wanted map[string]string) ([]byte, error) {
	// A nil value removes a label.
	changes := map[string]any{}
	for key, value := range wanted {
		if present, ok := node.Labels[key]; !ok || present != value {
			changes[key] = value
		}
	}
	for _, key := range strings.Split(node.Annotations[labelsAnnotation], ",") {
		_, present := node.Labels[key]
		if _, stays := wanted[key]; present && !stays {
			changes[key] = nil
		}
	}
	owned := strings.Join(slices.Sorted(maps.Keys(wanted)), ",")
	if len(changes) == 0 && node.Annotations[labelsAnnotation] == owned {
		return nil, nil
	}
	return json.Marshal(map[string]any{"metadata": map[string]any{
		"labels": changes, "annotations": map[string]string{labelsAnnotation: owned},
	}})
}
