package images

import (
	"fmt"
	"strings"

	"github.com/distribution/reference"
	"github.com/opencontainers/go-digest"
)

// normalName is the full form of an image's name, as containerd and Kubernetes look for it: with a registry, and a tag or
// a digest.
func normalName(name string) (string, error) {
	named, err := reference.ParseDockerRef(name)
	if err != nil {
		return "", fmt.Errorf("%q is not the name of an image: %w", name, err)
	}
	return named.String(), nil
}

// normalNames are the full forms of several names, without doubles.
func normalNames(names []string) ([]string, error) {
	var normal []string
	seen := map[string]bool{}
	for _, name := range names {
		full, err := normalName(name)
		if err != nil {
			return nil, err
		}
		if !seen[full] {
			seen[full] = true
			normal = append(normal, full)
		}
	}
	return normal, nil
}

// isID says whether the name of an image record is an image's ID, under which CRI keeps images beside their names.
func isID(name string) bool {
	return strings.HasPrefix(name, digest.SHA256.String()+":") && digest.Digest(name).Validate() == nil
}
