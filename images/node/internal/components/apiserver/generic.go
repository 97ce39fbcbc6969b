package apiserver

import (
	"context"
	"fmt"
	"net"

	apiextensionsapiserver "k8s.io/apiextensions-apiserver/pkg/apiserver"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/apiserver/pkg/authentication/request/union"
	"k8s.io/apiserver/pkg/endpoints/discovery/aggregated"
	openapinamer "k8s.io/apiserver/pkg/endpoints/openapi"
	genericapiserver "k8s.io/apiserver/pkg/server"
	"k8s.io/apiserver/pkg/server/filters"
	serverstorage "k8s.io/apiserver/pkg/server/storage"
	"k8s.io/apiserver/pkg/util/openapi"
	"k8s.io/apiserver/pkg/util/webhook"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	aggregatorscheme "k8s.io/kube-aggregator/pkg/apiserver/scheme"
	"k8s.io/kubernetes/cmd/kube-apiserver/app"
	"k8s.io/kubernetes/cmd/kube-apiserver/app/options"
	"k8s.io/kubernetes/pkg/api/legacyscheme"
	"k8s.io/kubernetes/pkg/controlplane"
	controlplaneapiserver "k8s.io/kubernetes/pkg/controlplane/apiserver"
	generatedopenapi "k8s.io/kubernetes/pkg/generated/openapi"
	"k8s.io/kubernetes/pkg/kubeapiserver"
)

// foundation is what the three API servers of the chain have in common.
type foundation struct {
	config    *genericapiserver.Config
	informers informers.SharedInformerFactory
	storage   *serverstorage.DefaultStorageFactory
}

// newConfig is the configuration of the chain. It differs from kube-apiserver's own in the foundation.
func newConfig(opts options.CompletedOptions, keys *credentials, own *ownClients) (*app.Config, error) {
	base, err := newFoundation(opts, keys, own)
	if err != nil {
		return nil, err
	}
	kube, resolver, admission, err := app.CreateKubeAPIServerConfig(opts, base.config, base.informers, base.storage)
	if err != nil {
		return nil, err
	}
	plane := &kube.ControlPlane
	extensions, err := controlplaneapiserver.CreateAPIExtensionsConfig(
		*plane.Generic, plane.VersionedInformers, admission, opts.CompletedOptions, opts.MasterCount, resolver,
		webhook.NewDefaultAuthenticationInfoResolverWrapper(
			plane.ProxyTransport, plane.Generic.EgressSelector, plane.Generic.LoopbackClientConfig, plane.Generic.TracerProvider))
	if err != nil {
		return nil, fmt.Errorf("custom resources: %w", err)
	}
	aggregator, err := controlplaneapiserver.CreateAggregatorConfig(
		*plane.Generic, opts.CompletedOptions, plane.VersionedInformers, resolver, plane.ProxyTransport,
		plane.Extra.PeerProxy, admission)
	if err != nil {
		return nil, fmt.Errorf("aggregation: %w", err)
	}
	// Of the three, the other two have been made from it by now.
	plane.Generic.SkipOpenAPIInstallation = true
	config := &app.Config{Options: opts, KubeAPIs: kube, ApiExtensions: extensions, Aggregator: aggregator}
	defineOwnAlone(config)
	return config, nil
}

// newFoundation does what kube-apiserver's BuildGenericConfig does for the options that are used here, with these differences:
// the server's own clients come by ownClients, for which the library would generate two RSA keys at each start; the keys can be
// exchanged; and its informers do not deliver everything again every ten minutes.
func newFoundation(opts options.CompletedOptions, keys *credentials, own *ownClients) (*foundation, error) {
	config := genericapiserver.NewConfig(legacyscheme.Codecs)
	resources := controlplane.DefaultAPIResourceConfigSource()
	config.MergedResourceConfig = resources
	if err := opts.GenericServerRunOptions.ApplyTo(config); err != nil {
		return nil, err
	}
	if err := opts.SecureServing.SecureServingOptions.ApplyTo(&config.SecureServing); err != nil {
		return nil, fmt.Errorf("serving: %w", err)
	}
	host, port, err := genericapiserver.LoopbackHostPort(config.SecureServing.Listener.Addr().String())
	if err != nil {
		return nil, fmt.Errorf("client of itself: %w", err)
	}
	config.LoopbackClientConfig = own.Config(net.JoinHostPort(host, port))
	config.ResourceTransformers = keys.Secrets
	client, err := kubernetes.NewForConfig(config.LoopbackClientConfig)
	if err != nil {
		return nil, fmt.Errorf("client of itself: %w", err)
	}
	base := &foundation{
		config:    config,
		informers: informers.NewSharedInformerFactoryWithOptions(client, 0, informers.WithTransform(withoutManagedFields)),
	}
	if err := opts.Features.ApplyTo(config, client, base.informers); err != nil {
		return nil, fmt.Errorf("features: %w", err)
	}
	if err := opts.APIEnablement.ApplyTo(config, resources, legacyscheme.Scheme); err != nil {
		return nil, fmt.Errorf("enabled APIs: %w", err)
	}
	describe(config)
	if err := base.applyStorage(opts); err != nil {
		return nil, fmt.Errorf("storage: %w", err)
	}
	if err := base.applyAccess(opts, client); err != nil {
		return nil, err
	}
	config.Authentication.Authenticator = union.New(own, config.Authentication.Authenticator)
	config.AggregatedDiscoveryGroupManager = aggregated.NewResourceManager("apis")
	return base, nil
}

// describe sets what the server says of its API, and which of its requests take long.
func describe(config *genericapiserver.Config) {
	definitions := referringOnce(openapi.GetOpenAPIDefinitionsWithoutDisabledFeatures(generatedopenapi.GetOpenAPIDefinitions))
	namer := openapinamer.NewDefinitionNamer(legacyscheme.Scheme, apiextensionsapiserver.Scheme, aggregatorscheme.Scheme)
	config.OpenAPIConfig = genericapiserver.DefaultOpenAPIConfig(definitions, namer)
	config.OpenAPIConfig.Info.Title = "Kubernetes"
	config.OpenAPIV3Config = genericapiserver.DefaultOpenAPIV3Config(definitions, namer)
	config.OpenAPIV3Config.Info.Title = "Kubernetes"
	config.LongRunningFunc = filters.BasicLongRunningRequestCheck(
		sets.NewString("watch", "proxy"), sets.NewString("attach", "exec", "proxy", "log", "portforward"))
}

func (b *foundation) applyStorage(opts options.CompletedOptions) error {
	factoryConfig := kubeapiserver.NewStorageFactoryConfigEffectiveVersion(b.config.EffectiveVersion)
	factoryConfig.APIResourceConfig = b.config.MergedResourceConfig
	factoryConfig.DefaultResourceEncoding.SetEffectiveVersion(b.config.EffectiveVersion)
	opts.Etcd.StorageConfig.Transport.TracerProvider = b.config.TracerProvider
	var err error
	if b.storage, err = factoryConfig.Complete(opts.Etcd).New(); err != nil {
		return err
	}
	b.storage.StorageConfig.StorageObjectCountTracker = b.config.StorageObjectCountTracker
	return opts.Etcd.ApplyWithStorageFactoryTo(b.storage, b.config)
}

// applyAccess sets who is who, who may do what, and what is written down of it.
func (b *foundation) applyAccess(opts options.CompletedOptions, client kubernetes.Interface) error {
	ctx := drainContext(b.config)
	err := opts.Authentication.ApplyTo(ctx, &b.config.Authentication, b.config.SecureServing, nil,
		b.config.OpenAPIConfig, b.config.OpenAPIV3Config, client, b.informers, b.config.APIServerID)
	if err != nil {
		return fmt.Errorf("authentication: %w", err)
	}
	b.config.Authorization.Authorizer, b.config.RuleResolver, _, err = controlplaneapiserver.BuildAuthorizer(
		ctx, opts.CompletedOptions, nil, b.config.APIServerID, b.informers)
	if err != nil {
		return fmt.Errorf("authorization: %w", err)
	}
	if err := opts.Audit.ApplyTo(b.config); err != nil {
		return fmt.Errorf("audit log: %w", err)
	}
	return nil
}

// drainContext ends when the server has stopped taking requests.
func drainContext(config *genericapiserver.Config) context.Context {
	return wait.ContextForChannel(config.DrainedNotify())
}

// withoutManagedFields drops from cached objects what nothing in the server reads.
func withoutManagedFields(object any) (any, error) {
	if accessor, err := meta.Accessor(object); err == nil && accessor.GetManagedFields() != nil {
		accessor.SetManagedFields(nil)
	}
	return object, nil
}
