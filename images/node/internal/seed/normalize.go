package seed

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"time"

	flowcontrolv1 "k8s.io/api/flowcontrol/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer/json"
	"k8s.io/apimachinery/pkg/runtime/serializer/protobuf"
	"k8s.io/apimachinery/pkg/runtime/serializer/recognizer"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes/scheme"
	apiregistrationv1 "k8s.io/kube-aggregator/pkg/apis/apiregistration/v1"
)

// seedTime is when all objects of a seed were made, whenever that was.
func seedTime() metav1.Time {
	return metav1.NewTime(time.Date(2026, time.January, 1, 0, 0, 0, 0, time.UTC))
}

// normalize gives a stored object a time and a UID that follow from nothing but its key.
func normalize(key string, value []byte) ([]byte, error) {
	known, err := storedTypes()
	if err != nil {
		return nil, err
	}
	binary := protobuf.NewSerializer(known, known)
	text := json.NewSerializerWithOptions(json.DefaultMetaFactory, known, known, json.SerializerOptions{})
	object, _, err := recognizer.NewDecoder(binary, text).Decode(value, nil, nil)
	if err != nil {
		return nil, err
	}
	accessor, err := meta.Accessor(object)
	if err != nil {
		return nil, err
	}
	accessor.SetUID(uidOf(key))
	accessor.SetCreationTimestamp(seedTime())
	accessor.SetManagedFields(nil)
	normalizeConditions(object)

	var encoder runtime.Encoder = text
	if bytes.HasPrefix(value, []byte("k8s\x00")) {
		encoder = binary
	}
	var normalized bytes.Buffer
	err = encoder.Encode(object, &normalized)
	return normalized.Bytes(), err
}

// normalizeConditions sets since when conditions hold, in the kinds that have some.
func normalizeConditions(object runtime.Object) {
	switch o := object.(type) {
	case *flowcontrolv1.FlowSchema:
		for i := range o.Status.Conditions {
			o.Status.Conditions[i].LastTransitionTime = seedTime()
		}
	case *flowcontrolv1.PriorityLevelConfiguration:
		for i := range o.Status.Conditions {
			o.Status.Conditions[i].LastTransitionTime = seedTime()
		}
	case *apiregistrationv1.APIService:
		for i := range o.Status.Conditions {
			o.Status.Conditions[i].LastTransitionTime = seedTime()
		}
	}
}

// storedTypes are the versions in which the API server stores the kinds that are kept.
func storedTypes() (*runtime.Scheme, error) {
	all := runtime.NewScheme()
	if err := scheme.AddToScheme(all); err != nil {
		return nil, err
	}
	return all, apiregistrationv1.AddToScheme(all)
}

// uidOf is a UID that looks like others (RFC 9562, version 8: the rest is what its maker wants).
func uidOf(key string) types.UID {
	digest := sha256.Sum256([]byte(key))
	digest[6] = digest[6]&0x0f | 0x80
	digest[8] = digest[8]&0x3f | 0x80
	text := hex.EncodeToString(digest[:16])
	return types.UID(fmt.Sprintf("%s-%s-%s-%s-%s", text[:8], text[8:12], text[12:16], text[16:20], text[20:]))
}
