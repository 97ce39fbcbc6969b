package storage

import (
	"context"
	"fmt"

	"github.com/container-storage-interface/spec/lib/go/csi"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/sig-storage-lib-external-provisioner/v13/controller"

	"sandbar.dev/node/internal/components/storage/driver"
)

// provisioner turns claims into volumes by calling the driver's controller service, in this process.
type provisioner struct {
	controller csi.ControllerServer
	nodeName   string
}

var _ controller.Provisioner = (*provisioner)(nil)

// Provision implements controller.Provisioner.
func (p *provisioner) Provision(
	ctx context.Context, options controller.ProvisionOptions,
) (*corev1.PersistentVolume, controller.ProvisioningState, error) {
	if selected := options.SelectedNodeName; selected != "" && selected != p.nodeName {
		return nil, controller.ProvisioningReschedule,
			fmt.Errorf("volumes can be had on node %s only, %s was selected", p.nodeName, selected)
	}
	request, err := createRequest(options)
	if err != nil {
		return nil, controller.ProvisioningFinished, err
	}
	response, err := p.controller.CreateVolume(ctx, request)
	if err != nil {
		return nil, controller.ProvisioningFinished, plain(err)
	}
	return persistentVolume(options, response.GetVolume()), controller.ProvisioningFinished, nil
}

// Delete implements controller.Provisioner.
func (p *provisioner) Delete(ctx context.Context, volume *corev1.PersistentVolume) error {
	if volume.Spec.CSI == nil || volume.Spec.CSI.Driver != driver.Name {
		return &controller.IgnoredError{Reason: "the volume is not of " + driver.Name}
	}
	_, err := p.controller.DeleteVolume(ctx, &csi.DeleteVolumeRequest{VolumeId: volume.Spec.CSI.VolumeHandle})
	return plain(err)
}

// createRequest is the request that a claim amounts to.
func createRequest(options controller.ProvisionOptions) (*csi.CreateVolumeRequest, error) {
	claim := options.PVC.Spec
	switch {
	case claim.Selector != nil:
		return nil, fmt.Errorf("claim.spec.selector is not supported for volumes that %s makes", driver.Name)
	case claim.DataSource != nil || claim.DataSourceRef != nil:
		return nil, fmt.Errorf("claim.spec.dataSource is not supported by %s", driver.Name)
	}
	var capabilities []*csi.VolumeCapability
	for _, mode := range claim.AccessModes {
		capability := &csi.VolumeCapability{AccessMode: &csi.VolumeCapability_AccessMode{Mode: accessMode(mode)}}
		if claim.VolumeMode != nil && *claim.VolumeMode == corev1.PersistentVolumeBlock {
			capability.AccessType = &csi.VolumeCapability_Block{Block: &csi.VolumeCapability_BlockVolume{}}
		} else {
			capability.AccessType = &csi.VolumeCapability_Mount{
				Mount: &csi.VolumeCapability_MountVolume{MountFlags: options.StorageClass.MountOptions},
			}
		}
		capabilities = append(capabilities, capability)
	}
	requested := claim.Resources.Requests[corev1.ResourceStorage]
	return &csi.CreateVolumeRequest{
		Name:               options.PVName,
		Parameters:         options.StorageClass.Parameters,
		VolumeCapabilities: capabilities,
		CapacityRange:      &csi.CapacityRange{RequiredBytes: requested.Value()},
	}, nil
}

// accessMode is the CSI name of a claim's mode. With one node, volumes that many nodes may mount are no harder than others.
func accessMode(mode corev1.PersistentVolumeAccessMode) csi.VolumeCapability_AccessMode_Mode {
	switch mode {
	case corev1.ReadWriteOncePod:
		return csi.VolumeCapability_AccessMode_SINGLE_NODE_SINGLE_WRITER
	case corev1.ReadOnlyMany:
		return csi.VolumeCapability_AccessMode_MULTI_NODE_READER_ONLY
	case corev1.ReadWriteMany:
		return csi.VolumeCapability_AccessMode_MULTI_NODE_MULTI_WRITER
	default:
		return csi.VolumeCapability_AccessMode_SINGLE_NODE_MULTI_WRITER
	}
}

// persistentVolume is the object for a volume that was made. Its affinity names the node, whose name lasts, and no
// address, which may change at each start.
func persistentVolume(options controller.ProvisionOptions, volume *csi.Volume) *corev1.PersistentVolume {
	fileSystem := corev1.PersistentVolumeFilesystem
	return &corev1.PersistentVolume{
		ObjectMeta: metav1.ObjectMeta{Name: options.PVName},
		Spec: corev1.PersistentVolumeSpec{
			AccessModes:                   options.PVC.Spec.AccessModes,
			Capacity:                      corev1.ResourceList{corev1.ResourceStorage: *resource.NewQuantity(volume.GetCapacityBytes(), resource.BinarySI)},
			PersistentVolumeReclaimPolicy: *options.StorageClass.ReclaimPolicy,
			MountOptions:                  options.StorageClass.MountOptions,
			VolumeMode:                    &fileSystem,
			PersistentVolumeSource: corev1.PersistentVolumeSource{
				CSI: &corev1.CSIPersistentVolumeSource{Driver: driver.Name, VolumeHandle: volume.GetVolumeId()},
			},
			NodeAffinity: nodeAffinity(volume.GetAccessibleTopology()),
		},
	}
}

func nodeAffinity(topologies []*csi.Topology) *corev1.VolumeNodeAffinity {
	selector := &corev1.NodeSelector{}
	for _, topology := range topologies {
		term := corev1.NodeSelectorTerm{}
		for key, value := range topology.GetSegments() {
			term.MatchExpressions = append(term.MatchExpressions, corev1.NodeSelectorRequirement{
				Key: key, Operator: corev1.NodeSelectorOpIn, Values: []string{value},
			})
		}
		selector.NodeSelectorTerms = append(selector.NodeSelectorTerms, term)
	}
	return &corev1.VolumeNodeAffinity{Required: selector}
}

// plain takes the words of gRPC out of an error that never went over gRPC, as it becomes the text of an event. Codes that
// the provisioning library decides on stay.
func plain(err error) error {
	if err == nil || status.Code(err) == codes.InvalidArgument {
		return err
	}
	return fmt.Errorf("%s", status.Convert(err).Message())
}
