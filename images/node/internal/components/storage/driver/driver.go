// Package driver serves a pool as a CSI driver: the identity, controller and node services of the Container Storage
// Interface 1.12 (https://github.com/container-storage-interface/spec). It knows volumes and mounts, nothing of Kubernetes.
package driver

import (
	"errors"

	"github.com/container-storage-interface/spec/lib/go/csi"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"sandbar.dev/node/internal/components/storage/pool"
)

// Name is the driver's name, which is also the provisioner of its storage classes.
const Name = "storage.sandbar.dev"

// TopologyKey is the label that ties a volume to the node which holds it.
const TopologyKey = "topology." + Name + "/node"

// Driver implements the three services over one pool.
type Driver struct {
	csi.UnimplementedIdentityServer
	csi.UnimplementedControllerServer
	csi.UnimplementedNodeServer

	pool     pool.Pool
	nodeName string
	version  string
}

// New returns the driver for the volumes of p on the node called nodeName. The version is what GetPluginInfo tells.
func New(p pool.Pool, nodeName, version string) *Driver {
	return &Driver{pool: p, nodeName: nodeName, version: version}
}

// Register adds the driver's services to a server.
func (d *Driver) Register(server *grpc.Server) {
	csi.RegisterIdentityServer(server, d)
	csi.RegisterControllerServer(server, d)
	csi.RegisterNodeServer(server, d)
}

// rpcError gives an error of a pool the status code that the CSI specification asks for.
func rpcError(err error) error {
	var noSpace *pool.NoSpaceError
	switch {
	case errors.As(err, &noSpace):
		return status.Error(codes.ResourceExhausted, err.Error())
	case errors.Is(err, pool.ErrNotFound), errors.Is(err, pool.ErrInvalidID):
		return status.Error(codes.NotFound, err.Error())
	case errors.Is(err, pool.ErrSizeDiffers):
		return status.Error(codes.AlreadyExists, err.Error())
	default:
		return status.Error(codes.Internal, err.Error())
	}
}

// checkCapability refuses what folders cannot be: block devices, file systems of a wish, and unknown mount flags.
func checkCapability(capability *csi.VolumeCapability) error {
	if capability == nil {
		return status.Error(codes.InvalidArgument, "the volume capability is missing")
	}
	if capability.GetBlock() != nil {
		return status.Error(codes.InvalidArgument, "volumeMode Block is not supported by "+Name+", use Filesystem")
	}
	if fsType := capability.GetMount().GetFsType(); fsType != "" {
		return status.Errorf(codes.InvalidArgument, "a volume of %s has the file system of its node, fsType %q cannot be had", Name, fsType)
	}
	if _, err := parseMountFlags(capability.GetMount().GetMountFlags()); err != nil {
		return status.Error(codes.InvalidArgument, err.Error())
	}
	return nil
}
