// Package translate turns Kubernetes' Ingress objects, and the Services, EndpointSlices and Secrets they name, into the
// ingress model. It is pure: it reads what Cluster gives and has no other effect.
package translate

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	networkingv1 "k8s.io/api/networking/v1"

	"sandbar.dev/node/internal/components/ingress/model"
)

const (
	// ClassName is the name of our IngressClass.
	ClassName = "sandbar"
	// Controller is the controller that our classes name.
	Controller = "sandbar.dev/ingress"
	// classAnnotation is how classes were named before spec.ingressClassName, and still are.
	classAnnotation = "kubernetes.io/ingress.class"
)

// Cluster gives the objects. Those that do not exist are nil. What it returns is not changed.
type Cluster interface {
	Ingresses() []*networkingv1.Ingress
	IngressClasses() []*networkingv1.IngressClass
	Service(namespace, name string) *corev1.Service
	EndpointSlices(namespace, service string) []*discoveryv1.EndpointSlice
	Secret(namespace, name string) *corev1.Secret
}

// Domains are the two names under which each application of the cluster is reached. A host below one of them is also
// served below the other, unless some rule names that host itself. Either may be empty; then there are no second names.
type Domains struct {
	// Laptop is the domain that leads to the cluster from the laptop, such as default.localhost.
	Laptop string
	// Apps is the one that does inside the cluster, such as apps.default.sandbar.internal.
	Apps string
}

// Alias is the other name of host, or "" if it has none.
func (d Domains) Alias(host string) string {
	if d.Laptop == "" || d.Apps == "" {
		return ""
	}
	if name, ok := strings.CutSuffix(host, "."+d.Laptop); ok {
		return name + "." + d.Apps
	}
	if name, ok := strings.CutSuffix(host, "."+d.Apps); ok {
		return name + "." + d.Laptop
	}
	return ""
}

// Problem is a part of an object that cannot be served as it asks.
type Problem struct {
	// Object is whose part it is.
	Object model.Ref
	// Reason is a word in CamelCase, as in events.
	Reason string
	// Message says what is wrong, for people.
	Message string
	// Passing marks what is normal while objects are being created one after the other, such as a Service that does not
	// exist yet: worth a line in a log rather than an event.
	Passing bool
}

// Result is what came out.
type Result struct {
	Model model.Model
	// Problems are in the order of the objects.
	Problems []Problem
	// Ours are the Ingresses that we serve, oldest first.
	Ours []*networkingv1.Ingress
}

// Ingresses translates all Ingresses of the cluster that are ours.
func Ingresses(cluster Cluster, domains Domains) Result {
	t := translation{cluster: cluster, domains: domains, builder: model.NewBuilder()}
	ours := selectOurs(cluster)
	for _, ingress := range ours {
		t.rules(ingress)
	}
	t.aliases()
	// Default backends take what no rule of anybody has taken.
	for _, ingress := range ours {
		t.defaultBackend(ingress)
	}
	t.aliases()
	for _, ingress := range ours {
		t.certificates(ingress)
	}
	return Result{Model: t.builder.Model(), Problems: t.problems, Ours: ours}
}

// selectOurs are the Ingresses of our classes, oldest first: that is who wins where two want the same.
func selectOurs(cluster Cluster) []*networkingv1.Ingress {
	classes := map[string]bool{ClassName: true}
	isDefault := false
	for _, class := range cluster.IngressClasses() {
		classes[class.Name] = class.Spec.Controller == Controller
		if classes[class.Name] && class.Annotations[networkingv1.AnnotationIsDefaultIngressClass] == "true" {
			isDefault = true
		}
	}
	var ours []*networkingv1.Ingress
	for _, ingress := range cluster.Ingresses() {
		var mine bool
		switch annotation, annotated := ingress.Annotations[classAnnotation]; {
		case ingress.Spec.IngressClassName != nil:
			mine = classes[*ingress.Spec.IngressClassName]
		case annotated:
			mine = classes[annotation]
		default:
			// Created before there was a default class, which admission would have filled in.
			mine = isDefault
		}
		if mine && ingress.DeletionTimestamp == nil {
			ours = append(ours, ingress)
		}
	}
	slices.SortFunc(ours, func(x, y *networkingv1.Ingress) int {
		return cmp.Or(x.CreationTimestamp.Compare(y.CreationTimestamp.Time),
			cmp.Compare(x.Namespace, y.Namespace), cmp.Compare(x.Name, y.Name))
	})
	return ours
}

type translation struct {
	cluster  Cluster
	domains  Domains
	builder  *model.Builder
	problems []Problem
}

func (t *translation) problem(ingress *networkingv1.Ingress, passing bool, reason, format string, args ...any) {
	t.problems = append(t.problems, Problem{
		Object: refOf(ingress), Reason: reason, Message: fmt.Sprintf(format, args...), Passing: passing,
	})
}

func refOf(ingress *networkingv1.Ingress) model.Ref {
	return model.Ref{
		Kind: "Ingress", Namespace: ingress.Namespace, Name: ingress.Name, UID: string(ingress.UID),
	}
}

func (t *translation) rules(ingress *networkingv1.Ingress) {
	for _, rule := range ingress.Spec.Rules {
		host, err := model.Host(rule.Host)
		if err != nil {
			t.problem(ingress, false, "InvalidHost", "%v", err)
			continue
		}
		if rule.HTTP == nil {
			continue // all of the host's requests go to the default backend
		}
		for _, path := range rule.HTTP.Paths {
			t.path(ingress, host, path)
		}
	}
}

func (t *translation) path(ingress *networkingv1.Ingress, host string, rule networkingv1.HTTPIngressPath) {
	path, err := model.Path(rule.Path)
	if err != nil {
		t.problem(ingress, false, "InvalidPath", "host %q: %v", host, err)
		return
	}
	match := model.Prefix // also for ImplementationSpecific
	if rule.PathType != nil && *rule.PathType == networkingv1.PathTypeExact {
		match = model.Exact
	}
	if match == model.Prefix && path != "/" {
		path = cmp.Or(strings.TrimRight(path, "/"), "/") // /a and /a/ are the same prefix
	}
	backend := t.backend(ingress, rule.Backend)
	if backend == "" {
		return
	}
	route := model.Route{Host: host, Path: path, Match: match, Backend: backend, Owner: refOf(ingress)}
	if owner, ok := t.builder.Route(route); !ok && owner != route.Owner {
		t.problem(ingress, false, "Conflict", "host %q, path %s belongs to the older Ingress %s/%s",
			host, path, owner.Namespace, owner.Name)
	}
}

// defaultBackend gives the Ingress's default backend what is left of its hosts, and of all others.
func (t *translation) defaultBackend(ingress *networkingv1.Ingress) {
	if ingress.Spec.DefaultBackend == nil {
		return
	}
	backend := t.backend(ingress, *ingress.Spec.DefaultBackend)
	if backend == "" {
		return
	}
	hosts := []string{""}
	for _, rule := range ingress.Spec.Rules {
		if host, err := model.Host(rule.Host); err == nil {
			hosts = append(hosts, host)
		}
	}
	for _, host := range hosts {
		t.builder.Route(model.Route{Host: host, Path: "/", Backend: backend, Owner: refOf(ingress)})
	}
}

// aliases adds the second names of the hosts so far. A host that a rule names itself is left alone.
func (t *translation) aliases() {
	named := map[string]bool{}
	routes := t.builder.Routes()
	for _, route := range routes {
		if !route.Alias {
			named[route.Host] = true
		}
	}
	for _, route := range routes {
		alias := t.domains.Alias(route.Host)
		if alias == "" || named[alias] || route.Alias {
			continue
		}
		route.Host, route.Alias = alias, true
		t.builder.Route(route)
	}
}
