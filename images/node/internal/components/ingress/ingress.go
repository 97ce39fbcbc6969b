// Package ingress is the node's ingress controller: it follows Ingress objects and what they name, and keeps HAProxy, which
// sandbar-init runs, configured accordingly.
//
// Data goes one way: objects → package translate → package model → package render → package haproxy. This package has
// the loop around it, which is the only part with effects: informers, when to act, the status of Ingresses, and events.
package ingress

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/klog/v2"

	"sandbar.dev/node/internal/component"
	"sandbar.dev/node/internal/components/ingress/render"
	"sandbar.dev/node/internal/components/ingress/translate"
	"sandbar.dev/node/internal/haproxy"
)

// Options are what the component needs to know.
type Options struct {
	// Client reaches the API server as system:sandbar:ingress.
	Client *rest.Config
	// ClusterID goes into the answer to the health host.
	ClusterID string
	// ClusterName makes the laptop's domain, <ClusterName>.localhost.
	ClusterName string
	// BaseDomain makes the domain inside the cluster, apps.<BaseDomain>.
	BaseDomain string
	// DefaultCertFile and DefaultKeyFile are the PEM files of a certificate for the wildcards of both Domains; TLS
	// connections for names without a certificate of their own get it. The files may be replaced while the node runs.
	DefaultCertFile, DefaultKeyFile string
	// PublishHostname is put into the status of Ingresses as the load balancer's. Default "localhost", which stays true on
	// the laptop whatever address the node gets.
	PublishHostname string
	// HAProxyFolder is the folder of HAProxy's configuration and sockets, such as /run/sandbar/haproxy.
	HAProxyFolder string
	// HAProxyBinary is the program that checks configurations. Default /usr/sbin/haproxy.
	HAProxyBinary string
}

// Ingress is the component.
type Ingress struct {
	options   Options
	settings  render.Settings // but for the default certificate
	domains   translate.Domains
	installer haproxy.Installer
	runtime   haproxy.Runtime
	wake      chan struct{}

	mu       sync.Mutex
	hosts    []string
	expected string // the description of the configuration that should run; "" before the first
	failure  error  // why the last attempt did not do all that was asked
	fallback []byte // the default certificate that was last read

	// Of the loop alone.
	refused map[string]*haproxy.RefusedError // certificate files that HAProxy does not take
}

// New returns the component.
func New(options Options) *Ingress {
	if options.PublishHostname == "" {
		options.PublishHostname = "localhost"
	}
	if options.HAProxyBinary == "" {
		options.HAProxyBinary = "/usr/sbin/haproxy"
	}
	folder := haproxy.Folder(options.HAProxyFolder)
	i := &Ingress{
		options: options,
		settings: render.Settings{
			Folder:    folder,
			ClusterID: options.ClusterID,
		},
		installer: haproxy.Installer{Folder: folder, Binary: options.HAProxyBinary},
		runtime:   haproxy.Runtime{Socket: folder.WorkerSocket()},
		wake:      make(chan struct{}, 1),
		refused:   map[string]*haproxy.RefusedError{},
	}
	domains := Domains(options.ClusterName, options.BaseDomain)
	i.domains = translate.Domains{Laptop: domains[0], Apps: domains[1]}
	return i
}

// Domains are the domains that the ingress of a cluster serves: the one for the laptop and the one inside the cluster.
func Domains(clusterName, baseDomain string) []string {
	return []string{strings.ToLower(clusterName) + ".localhost", "apps." + strings.ToLower(baseDomain)}
}

// Name implements component.Component.
func (i *Ingress) Name() string { return "ingress" }

// Needs implements component.Component.
func (i *Ingress) Needs() []string { return []string{"kube-apiserver"} }

// Hosts are the host names that Ingresses ask for, sorted, without the second names that they have by themselves.
func (i *Ingress) Hosts() []string {
	i.mu.Lock()
	defer i.mu.Unlock()
	return slices.Clone(i.hosts)
}

// Run implements component.Component. It is ready when HAProxy runs a configuration made from all objects there were.
func (i *Ingress) Run(ctx context.Context, ready func()) error {
	config := rest.CopyConfig(i.options.Client)
	config.ContentType = "application/vnd.kubernetes.protobuf"
	config.AcceptContentTypes = config.ContentType + ",application/json"
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return fmt.Errorf("client: %w", err)
	}
	return i.run(ctx, ready, client)
}

func (i *Ingress) run(ctx context.Context, ready func(), client kubernetes.Interface) error {
	if !awaitRights(ctx, client) {
		return ctx.Err()
	}
	reporter := newReporter(ctx, client, i.options.PublishHostname, i.poke)
	defer reporter.stop()
	cluster, err := watchCluster(ctx, client, i.poke)
	if err != nil {
		return err
	}
	defer cluster.stop()
	if !cluster.awaitSync(ctx) {
		return ctx.Err()
	}
	i.loop(ctx, ready, cluster, reporter)
	return nil
}

// poke asks for another look at the objects. It never blocks.
func (i *Ingress) poke() {
	select {
	case i.wake <- struct{}{}:
	default:
	}
}

// loop looks at the objects when they have changed, in batches, until ctx is done.
func (i *Ingress) loop(ctx context.Context, ready func(), cluster *cluster, reporter *reporter) {
	logger := klog.FromContext(ctx)
	pacer := newPacer()
	timer := time.NewTimer(0) // the first look needs no event
	defer timer.Stop()
	armed := true
	for {
		select {
		case <-ctx.Done():
			return
		case <-i.wake:
			if !armed {
				timer.Reset(pacer.afterEvent(time.Now()))
				armed = true
			}
			continue
		case <-timer.C:
			armed = false
		}
		cluster.beginLook()
		result := translate.Ingresses(cluster, i.domains)
		cluster.endLook()
		outcome, err := i.apply(ctx, result.Model)
		if ctx.Err() != nil {
			return
		}
		i.settle(ctx, outcome, err, result)
		if !outcome.inForce && !isRefusal(err) {
			logger.Error(err, "HAProxy could not be configured; trying again")
			timer.Reset(pacer.afterFailure())
			armed = true
			continue
		}
		pacer.done(time.Now(), outcome.reloaded)
		if outcome.inForce {
			ready()
		}
		reporter.report(result, outcome.refusals)
	}
}

// settle notes what the look came to, for Check and Hosts.
func (i *Ingress) settle(ctx context.Context, outcome outcome, err error, result translate.Result) {
	if isRefusal(err) && !outcome.inForce {
		err = fmt.Errorf("the configuration before stays in force: %w", err)
	}
	var hosts []string
	for _, route := range result.Model.Routes {
		if !route.Alias && route.Host != "" {
			hosts = append(hosts, route.Host)
		}
	}
	slices.Sort(hosts)
	i.mu.Lock()
	changed := (i.failure == nil) != (err == nil)
	i.failure, i.hosts = err, slices.Compact(hosts)
	i.mu.Unlock()
	if changed {
		component.Recheck(ctx)
	}
}

// Check implements component.HealthChecker: HAProxy runs the configuration that it should.
func (i *Ingress) Check(ctx context.Context) error {
	i.mu.Lock()
	failure, expected, before := i.failure, i.expected, i.fallback
	i.mu.Unlock()
	// Whatever else is wrong: the certificate before may be what is.
	now, unreadable := i.defaultCertificate()
	if unreadable == nil && !bytes.Equal(before, now) {
		i.poke() // it was renewed
	}
	if failure != nil {
		return failure
	}
	info, err := i.runtime.Info(ctx)
	if err != nil {
		return err
	}
	if info.Description != expected {
		i.poke() // somebody started HAProxy with something else
		return fmt.Errorf("HAProxy runs configuration %q instead of %q", info.Description, expected)
	}
	return unreadable
}

// defaultCertificate reads the default certificate and its key.
func (i *Ingress) defaultCertificate() ([]byte, error) {
	cert, err := os.ReadFile(i.options.DefaultCertFile)
	if err != nil {
		return nil, fmt.Errorf("default certificate: %w", err)
	}
	key, err := os.ReadFile(i.options.DefaultKeyFile)
	if err != nil {
		return nil, fmt.Errorf("default certificate: %w", err)
	}
	return slices.Concat(cert, []byte("\n"), key), nil
}

func isRefusal(err error) bool {
	var refused *haproxy.RefusedError
	return errors.As(err, &refused)
}
