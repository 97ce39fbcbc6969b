package controlplanetest

import (
	"context"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"sandbar.dev/node/internal/components/bootstrap"
	"sandbar.dev/node/internal/pki"
)

func TestMain(m *testing.M) { Main(m) }

func TestWhoMayDoWhat(t *testing.T) {
	plane := Start(t)
	plane.Apply(t, bootstrap.RBAC()...)
	ctx := t.Context()

	nobody := kubernetes.NewForConfigOrDie(plane.Client(t, "nobody"))
	if _, err := nobody.CoreV1().Secrets("default").List(ctx, metav1.ListOptions{}); !apierrors.IsForbidden(err) {
		t.Errorf("a user without rights lists secrets: %v", err)
	}
	admin := kubernetes.NewForConfigOrDie(plane.Client(t, pki.AdminUser, pki.AdminGroup))
	if _, err := admin.CoreV1().Secrets("default").List(ctx, metav1.ListOptions{}); err != nil {
		t.Errorf("the administrator may not list secrets: %v", err)
	}
	anonymous, err := rest.HTTPClientFor(rest.AnonymousClientConfig(plane.Admin))
	if err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]int{
		"/readyz": 200, "/livez": 200, "/healthz": 200, "/version": 401, "/api": 401, "/metrics": 401,
	} {
		response, err := anonymous.Get(plane.Admin.Host + path)
		if err != nil {
			t.Fatal(err)
		}
		if err := response.Body.Close(); err != nil {
			t.Error(err)
		}
		if response.StatusCode != want {
			t.Errorf("without a certificate %s answers %d, want %d", path, response.StatusCode, want)
		}
	}
}

func TestSecretsAreEncryptedAtRest(t *testing.T) {
	plane := Start(t)
	namespace := plane.Namespace(t)
	client := kubernetes.NewForConfigOrDie(plane.Admin)
	_, err := client.CoreV1().Secrets(namespace).Create(t.Context(), &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Name: "hidden"}, StringData: map[string]string{"key": "plain text to look for"},
	}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	raw := storedValue(t, plane, "/registry/secrets/"+namespace+"/hidden")
	if !strings.HasPrefix(raw, "k8s:enc:aesgcm:v1:1:") || strings.Contains(raw, "plain text") {
		t.Errorf("the datastore has %q", raw)
	}
}

func TestPodSecurityIsEnforced(t *testing.T) {
	plane := Start(t)
	client := kubernetes.NewForConfigOrDie(plane.Admin)
	namespace := plane.Namespace(t)
	patch := []byte(`{"metadata":{"labels":{"pod-security.kubernetes.io/enforce":"restricted"}}}`)
	_, err := client.CoreV1().Namespaces().Patch(
		t.Context(), namespace, types.MergePatchType, patch, metav1.PatchOptions{})
	if err != nil {
		t.Fatal(err)
	}
	_, err = client.CoreV1().ServiceAccounts(namespace).Create(t.Context(),
		&corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: "test"}}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	_, err = client.CoreV1().Pods(namespace).Create(t.Context(), &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: "p"},
		Spec: corev1.PodSpec{
			ServiceAccountName: "test",
			Containers:         []corev1.Container{{Name: "c", Image: "i"}},
		},
	}, metav1.CreateOptions{})
	if !apierrors.IsForbidden(err) || !strings.Contains(err.Error(), "violates PodSecurity") {
		t.Errorf("a pod without restrictions: %v", err)
	}
}

func TestADeploymentBecomesPodsOnANode(t *testing.T) {
	plane := Start(t)
	plane.StartControllers(t)
	plane.StartScheduler(t)
	client := kubernetes.NewForConfigOrDie(plane.Admin)
	namespace := plane.Namespace(t)
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()

	plane.Node(t, "edge", nil)
	labels := map[string]string{"app": "a"}
	_, err := client.AppsV1().Deployments(namespace).Create(ctx, &appsv1.Deployment{
		ObjectMeta: metav1.ObjectMeta{Name: "a"},
		Spec: appsv1.DeploymentSpec{
			Selector: &metav1.LabelSelector{MatchLabels: labels},
			Template: corev1.PodTemplateSpec{
				ObjectMeta: metav1.ObjectMeta{Labels: labels},
				Spec: corev1.PodSpec{Tolerations: []corev1.Toleration{{Operator: corev1.TolerationOpExists}},
					Containers: []corev1.Container{{Name: "c", Image: "i"}}},
			},
		},
	}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	err = wait.PollUntilContextCancel(ctx, 20*time.Millisecond, true, func(ctx context.Context) (bool, error) {
		pods, err := client.CoreV1().Pods(namespace).List(ctx, metav1.ListOptions{})
		return err == nil && len(pods.Items) == 1 && pods.Items[0].Spec.NodeName == "edge", err
	})
	if err != nil {
		t.Errorf("no pod on the node: %v", err)
	}
	got, err := client.CoreV1().Nodes().Get(ctx, "edge", metav1.GetOptions{})
	if err != nil || !strings.HasPrefix(got.Spec.PodCIDR, "10.42.") {
		t.Errorf("the node's network: %v %v", got.Spec.PodCIDR, err)
	}
}

func TestMetricsOfAllComponents(t *testing.T) {
	plane := Start(t)
	client, err := rest.HTTPClientFor(plane.Admin)
	if err != nil {
		t.Fatal(err)
	}
	response, err := client.Get(plane.Admin.Host + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }() // read to its end
	body, err := io.ReadAll(response.Body)
	if err != nil || response.StatusCode != http.StatusOK || !strings.Contains(string(body), "apiserver_request_total") {
		t.Errorf("metrics: %s %v", response.Status, err)
	}
}
