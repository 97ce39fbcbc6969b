package storage

import (
	"context"
	"fmt"
	"sync"

	registration "k8s.io/kubelet/pkg/apis/pluginregistration/v1"

	"sandbar.dev/node/internal/components/storage/driver"
)

// registrar answers kubelet's plugin watcher on the registration socket.
type registrar struct {
	registration.UnimplementedRegistrationServer
	endpoint string

	once sync.Once
	// done is closed when kubelet has registered the driver
	done chan struct{}
	// refused receives kubelet's reason for not registering it
	refused chan error
}

func newRegistrar(endpoint string) *registrar {
	return &registrar{endpoint: endpoint, done: make(chan struct{}), refused: make(chan error, 1)}
}

// GetInfo implements the registration service.
func (r *registrar) GetInfo(context.Context, *registration.InfoRequest) (*registration.PluginInfo, error) {
	return &registration.PluginInfo{
		Type:              registration.CSIPlugin,
		Name:              driver.Name,
		Endpoint:          r.endpoint,
		SupportedVersions: []string{"1.0.0"},
	}, nil
}

// NotifyRegistrationStatus implements the registration service.
func (r *registrar) NotifyRegistrationStatus(
	_ context.Context, result *registration.RegistrationStatus,
) (*registration.RegistrationStatusResponse, error) {
	if result.GetPluginRegistered() {
		r.once.Do(func() { close(r.done) })
		return &registration.RegistrationStatusResponse{}, nil
	}
	select {
	case r.refused <- fmt.Errorf("kubelet did not register %s: %s", driver.Name, result.GetError()):
	default: // the first reason is being looked at
	}
	return &registration.RegistrationStatusResponse{}, nil
}
