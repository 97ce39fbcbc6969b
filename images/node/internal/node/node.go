// Package node is sandbar-node but for its command line: it loads the configuration, prepares the volume, and runs the
// components of a whole cluster in one process.
package node

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/go-logr/logr"
	utilfeature "k8s.io/apiserver/pkg/util/feature"
	"k8s.io/client-go/rest"
	"k8s.io/klog/v2"

	"sandbar.dev/node/internal/api"
	"sandbar.dev/node/internal/component"
	"sandbar.dev/node/internal/config"
	"sandbar.dev/node/internal/initapi"
	"sandbar.dev/node/internal/logging"
	"sandbar.dev/node/internal/paths"
	"sandbar.dev/node/internal/pki"
	"sandbar.dev/node/internal/quiet"
	"sandbar.dev/node/internal/version"
	"sandbar.dev/node/internal/volume"
)

// Options are what a main tells the node.
type Options struct {
	// Layout are the node's files.
	Layout paths.Layout
	// Logger is the process's logger; its verbosity is set to what the configuration says.
	Logger logr.Logger
	// AwaitIdentity returns when it is known whose node it is, which has to be before anything is read that two clusters do not
	// share. nil where it is known from the start; otherwise the node runs as far as it goes before the call.
	AwaitIdentity func(ctx context.Context) error
	// Ready is called once, when every component has become ready for the first time.
	Ready func() error
}

// IsConfiguration says whether an error of Run is one that only the user can mend, so that another attempt is futile.
func IsConfiguration(err error) bool {
	var wrong *config.Error
	var refused *volume.VersionError
	return errors.As(err, &wrong) || errors.As(err, &refused)
}

// Run runs a node until ctx is cancelled or a component fails. The API socket answers before anything slow begins.
func Run(ctx context.Context, o Options) error {
	quiet.WorkQueues()
	tuneForStart()
	if err := os.MkdirAll(o.Layout.Run, 0o700); err != nil {
		return err
	}
	server := api.New(api.Options{
		Socket: o.Layout.NodeSocket(), Volume: o.Layout.Data, Init: initapi.Dial(o.Layout.InitSocket()),
	})
	listener, err := server.Listen()
	if err != nil {
		return err
	}
	// The socket outlives the components, so that a stop can be watched.
	serveCtx, stopServing := context.WithCancel(context.WithoutCancel(ctx))
	served := make(chan error, 1)
	go func() { served <- server.Serve(serveCtx, listener) }()

	err = run(ctx, o, server)
	stopServing()
	return errors.Join(err, <-served)
}

func run(ctx context.Context, o Options, server *api.Server) error {
	var begun *provisional
	if o.AwaitIdentity != nil {
		var err error
		if begun, err = beginProvisional(ctx, o.Layout); err != nil {
			return err
		}
		if begun != nil {
			defer begun.end(component.ErrStopping)
		}
		if err := o.AwaitIdentity(ctx); err != nil {
			return err
		}
	}
	settings, warnings, err := loadConfig(o.Layout)
	server.Update(func(s *api.Sources) { s.Warnings = warnings })
	for _, warning := range warnings {
		klog.FromContext(ctx).Info("Configuration: "+warning.Message, "code", warning.Code)
	}
	if err != nil {
		return err
	}
	if err := logging.SetVerbosity(o.Logger, settings.Verbosity()); err != nil {
		return err
	}
	if err := setFeatureGates(settings); err != nil {
		return err
	}
	n, err := newNode(o.Layout, settings, begun)
	if err != nil {
		return err
	}
	if begun != nil {
		err = begun.check(n)
	} else {
		err = volume.DiscardProvisional(o.Layout)
	}
	if err != nil {
		return err
	}
	prepared, err := volume.Prepare(o.Layout, version.Kubernetes)
	if err != nil {
		return err
	}
	if prepared.Backup != "" {
		klog.FromContext(ctx).Info("The datastore was copied before a newer Kubernetes changes it", "copy", prepared.Backup)
	}
	n.clusterID = prepared.ClusterID
	if n.pki, err = pki.Open(o.Layout.PKI(), o.Layout.RunPKI()); err != nil {
		return err
	}
	if err := prepared.Commit(); err != nil {
		return err
	}
	if begun != nil {
		if err := begun.adopt(ctx, n); err != nil {
			return err
		}
	}
	if err := n.pki.KubeconfigFile(o.Layout.Kubeconfig(), pki.AdminUser, pki.AdminGroup); err != nil {
		return err
	}
	go n.pki.Rotate(ctx)

	supervisor, err := n.supervisor()
	if err != nil {
		return err
	}
	n.publish(server, supervisor, warnings)
	go o.whenReady(ctx, supervisor)
	return supervisor.Run(ctx)
}

// whenReady tells that all components are ready, and then gives back the memory that only the start needed.
func (o Options) whenReady(ctx context.Context, supervisor *component.Supervisor) {
	for _, status := range supervisor.Status() {
		if supervisor.Wait(ctx, status.Name) != nil {
			return
		}
	}
	if o.Ready != nil {
		if err := o.Ready(); err != nil {
			klog.FromContext(ctx).Error(err, "Nobody could be told that the node is ready")
		}
	}
	select {
	case <-ctx.Done():
	case <-time.After(settleTime):
		tuneForIdle()
	}
}

// setFeatureGates switches Kubernetes' feature gates, once for all components.
func setFeatureGates(settings *config.Config) error {
	gates := map[string]bool{
		// A lease that is renewed every ten seconds for ever, to tell several API servers apart.
		"APIServerIdentity": false,
		// Between several API servers; it needs their identities.
		"UnknownVersionInteroperabilityProxy": false,
	}
	for name, enabled := range settings.FeatureGates() {
		gates[name] = enabled
	}
	if err := utilfeature.DefaultMutableFeatureGate.SetFromMap(gates); err != nil {
		return &config.Error{Problems: []config.Problem{{Key: "apiServer.featureGates", Message: err.Error()}}}
	}
	// The libraries' own clients would log each warning that the API server sends them.
	rest.SetDefaultWarningHandler(rest.NoWarnings{})
	return nil
}

// publish tells the API socket what it reports about.
func (n *node) publish(server *api.Server, supervisor *component.Supervisor, warnings []config.Warning) {
	server.Update(func(s *api.Sources) {
		s.Node = n.describe()
		s.Network = n.network()
		s.IngressDomains = n.config.IngressDomains()
		s.Warnings = warnings
		s.Supervisor = supervisor
		s.Images = n.images
		s.NamesOutside = n.names.Outside
		s.AuthoritiesEnd = n.pki.Ends()
		s.Kubeconfig = func(_ context.Context, server, name string) ([]byte, error) {
			return n.pki.Kubeconfig(server, name, pki.AdminUser, pki.AdminGroup)
		}
		if n.ingress != nil {
			s.IngressHosts = n.ingress.Hosts
		}
	})
}

// supervisor makes the supervisor of the node's components.
func (n *node) supervisor() (*component.Supervisor, error) {
	components, err := n.components()
	if err != nil {
		return nil, err
	}
	supervisor, err := component.New(components, supervision())
	if err != nil {
		return nil, fmt.Errorf("the node's list of %w", err)
	}
	n.wait = supervisor.Wait
	return supervisor, nil
}

// supervision has each component's lines in the log say which it is.
func supervision() component.Options {
	return component.Options{
		Context: func(ctx context.Context, name string) context.Context {
			logging.Attribute(name)
			return klog.NewContext(ctx, logging.ForComponent(klog.Background(), name))
		},
	}
}
