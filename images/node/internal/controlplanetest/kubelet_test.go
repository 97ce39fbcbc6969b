package controlplanetest

import (
	"context"
	"fmt"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/kubernetes"
)

// TestWhatAKubeletMay is the Node authorizer and NodeRestriction: a kubelet's certificate is worth its own node, and the
// Secrets of the pods that run there.
func TestWhatAKubeletMay(t *testing.T) {
	plane := Start(t)
	admin := kubernetes.NewForConfigOrDie(plane.Admin)
	kubelets := map[string]kubernetes.Interface{}
	for _, name := range []string{"kubelet-a", "kubelet-b"} {
		plane.Node(t, name, nil)
		kubelets[name] = kubernetes.NewForConfigOrDie(plane.Client(t, "system:node:"+name, "system:nodes"))
	}
	namespace := plane.Namespace(t)
	for _, name := range []string{"used", "unused"} {
		_, err := admin.CoreV1().Secrets(namespace).Create(t.Context(),
			&corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: name}}, metav1.CreateOptions{})
		if err != nil {
			t.Fatal(err)
		}
	}
	makePodWithSecret(t, admin, namespace, "kubelet-a", "used")

	label := func(kubelet, node, key string) error {
		patch := fmt.Appendf(nil, `{"metadata":{"labels":{%q:"x"}}}`, key)
		_, err := kubelets[kubelet].CoreV1().Nodes().Patch(
			t.Context(), node, types.StrategicMergePatchType, patch, metav1.PatchOptions{})
		return err
	}
	read := func(kubelet, secret string) error {
		_, err := kubelets[kubelet].CoreV1().Secrets(namespace).Get(t.Context(), secret, metav1.GetOptions{})
		return err
	}
	list := func(kubelet string) error {
		_, err := kubelets[kubelet].CoreV1().Secrets(namespace).List(t.Context(), metav1.ListOptions{})
		return err
	}
	// The authorizer learns of the pod by a watch.
	err := wait.PollUntilContextTimeout(t.Context(), 20*time.Millisecond, 10*time.Second, true,
		func(context.Context) (bool, error) { return read("kubelet-a", "used") == nil, nil })
	if err != nil {
		t.Errorf("the Secret of its own pod: %v", read("kubelet-a", "used"))
	}
	if err := label("kubelet-a", "kubelet-a", "team"); err != nil {
		t.Errorf("an ordinary label of its own node: %v", err)
	}
	for what, err := range map[string]error{
		"a label of another node":                  label("kubelet-a", "kubelet-b", "team"),
		"a label that is kept from kubelets":       label("kubelet-a", "kubelet-a", "node-restriction.kubernetes.io/x"),
		"a role":                                   label("kubelet-a", "kubelet-a", "node-role.kubernetes.io/x"),
		"a Secret of no pod":                       read("kubelet-a", "unused"),
		"a Secret of a pod that runs elsewhere":    read("kubelet-b", "used"),
		"a pod that runs elsewhere":                kubelets["kubelet-b"].CoreV1().Pods(namespace).Delete(t.Context(), "p", metav1.DeleteOptions{}),
		"the Secrets of a namespace, all together": list("kubelet-a"),
	} {
		if !apierrors.IsForbidden(err) {
			t.Errorf("%s: %v", what, err)
		}
	}
}

// makePodWithSecret makes a pod p on a node.
func makePodWithSecret(t *testing.T, admin kubernetes.Interface, namespace, node, secret string) {
	t.Helper()
	_, err := admin.CoreV1().ServiceAccounts(namespace).Create(t.Context(),
		&corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: "test"}}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	_, err = admin.CoreV1().Pods(namespace).Create(t.Context(), &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: "p"},
		Spec: corev1.PodSpec{
			NodeName: node, ServiceAccountName: "test",
			Containers: []corev1.Container{{Name: "c", Image: "i"}},
			Volumes: []corev1.Volume{{
				Name:         "secret",
				VolumeSource: corev1.VolumeSource{Secret: &corev1.SecretVolumeSource{SecretName: secret}},
			}},
		},
	}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
}
