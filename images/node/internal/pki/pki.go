// Package pki is the identity of a cluster: authorities and keys that are made once and live in the volume, and
// certificates that are made anew at each start, live on a tmpfs and are renewed while the node runs. All keys are
// ECDSA P-256: an RSA key costs a tenth of a second of the start.
package pki

import (
	"crypto/ecdsa"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"time"

	"sandbar.dev/node/internal/durable"
)

const (
	// LeafLifetime is how long a certificate is valid that is not an authority.
	LeafLifetime = 365 * 24 * time.Hour
	// authorityLifetime is long because replacing an authority means replacing every kubeconfig.
	authorityLifetime = 10 * 365 * 24 * time.Hour
	// backdate makes certificates valid for clients whose clocks are behind, and for this node when its own is set back: by
	// an hour of daylight saving, or by the hours of a time zone.
	backdate = 24 * time.Hour
	// lookInterval is how often the node looks whether certificates have to be renewed.
	lookInterval = time.Hour

	// formatVersion is the version of the durable folder's layout.
	formatVersion = 1
	// encryptionKeyBytes is the length of an AES-256 key.
	encryptionKeyBytes = 32
)

// AdminUser and AdminGroup are what the administrator's certificates say. The group is bound to cluster-admin by an
// ordinary ClusterRoleBinding, which an administrator can remove; it is not the group that RBAC never refuses.
const (
	AdminUser  = "sandbar:admin"
	AdminGroup = "sandbar:cluster-admins"
)

// PKI issues a cluster's certificates. Its methods may be called from several goroutines.
type PKI struct {
	durable, run string
	cluster      *authority
	frontProxy   *authority
	// serviceAccount signs the tokens of service accounts.
	serviceAccount *ecdsa.PrivateKey
	// encryption is the key under which Secrets are stored.
	encryption []byte

	mu     sync.Mutex
	leaves map[string]leaf
	times  Times
}

// Times are what a PKI knows of time. The zero value is a node's.
type Times struct {
	// Leaf is how long a certificate is valid that is not an authority. Default LeafLifetime.
	Leaf time.Duration
	// Look is how often Rotate looks at the clock. Default an hour.
	Look time.Duration
	// Now is the wall clock. Default wallClock.
	Now func() time.Time
}

// Open loads the authorities and keys from the folder durable, or makes them if no node has finished making them yet.
// What is issued goes to the folder run, which should be on a tmpfs. Both are made with mode 0700 if they are missing.
// Files that are damaged or missing are an error: new ones would lock every client and every stored Secret out.
func Open(durable, run string) (*PKI, error) { return OpenTimed(durable, run, Times{}) }

// OpenTimed is Open with other times than a node's.
func OpenTimed(durable, run string, times Times) (*PKI, error) {
	p, complete, err := prepare(durable, run, times)
	if err != nil {
		return nil, err
	}
	if !complete {
		if err := p.create(); err != nil {
			return nil, fmt.Errorf("make the cluster's authorities and keys: %w", err)
		}
		if err := p.writeVersion(); err != nil {
			return nil, fmt.Errorf("make the cluster's authorities and keys: %w", err)
		}
	}
	if err := p.load(); err != nil {
		return nil, fmt.Errorf("load the cluster's authorities and keys: %w", err)
	}
	return p, nil
}

// Provisional is Open for a node that is nobody's yet: Open makes everything anew afterwards, in the same places. Where the
// authorities and keys have been made already, it is an error.
func Provisional(durable, run string) (*PKI, error) {
	p, complete, err := prepare(durable, run, Times{})
	if err != nil {
		return nil, err
	}
	if complete {
		return nil, fmt.Errorf("%s holds the identity of a cluster", durable)
	}
	if err := errors.Join(p.create(), p.load()); err != nil {
		return nil, fmt.Errorf("make provisional authorities and keys: %w", err)
	}
	return p, nil
}

// prepare makes the folders and says whether the authorities and keys are complete.
func prepare(durable, run string, times Times) (p *PKI, complete bool, err error) {
	if times.Leaf == 0 {
		times.Leaf = LeafLifetime
	}
	if times.Look == 0 {
		times.Look = lookInterval
	}
	if times.Now == nil {
		times.Now = wallClock
	}
	p = &PKI{durable: durable, run: run, leaves: map[string]leaf{}, times: times}
	for _, dir := range []string{durable, run} {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return nil, false, fmt.Errorf("PKI folder: %w", err)
		}
	}
	complete, err = p.readVersion()
	return p, complete, err
}

// wallClock is the time without Go's monotonic reading. With it, differences would not see that the clock was set, or that
// the machine slept.
func wallClock() time.Time { return time.Now().Round(0) }

// version is the content of the file that is written last: with it, the folder is complete.
type version struct {
	PKI int `json:"pki"`
}

func (p *PKI) versionFile() string { return filepath.Join(p.durable, "version") }

func (p *PKI) readVersion() (complete bool, err error) {
	data, err := os.ReadFile(p.versionFile())
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	} else if err != nil {
		return false, fmt.Errorf("PKI version: %w", err)
	}
	var v version
	if err := json.Unmarshal(data, &v); err != nil {
		return false, fmt.Errorf("PKI version %s: %w", p.versionFile(), err)
	}
	if v.PKI != formatVersion {
		return false, fmt.Errorf("%s says version %d, this node knows %d", p.versionFile(), v.PKI, formatVersion)
	}
	return true, nil
}

// create writes everything anew but the version. Without that nothing has used what an interrupted attempt left behind.
func (p *PKI) create() error {
	now := p.times.Now()
	for _, name := range []string{"cluster-ca", "front-proxy-ca"} {
		a, err := newAuthority("sandbar-"+name, now)
		if err != nil {
			return err
		}
		key, err := encodeKey(a.key)
		if err != nil {
			return err
		}
		if err := durable.WriteFile(filepath.Join(p.durable, name+".crt"), a.certPEM, 0o600); err != nil {
			return err
		}
		if err := durable.WriteFile(filepath.Join(p.durable, name+".key"), key, 0o600); err != nil {
			return err
		}
	}
	serviceAccount, err := newKey()
	if err != nil {
		return err
	}
	serviceAccountPEM, err := encodeKey(serviceAccount)
	if err != nil {
		return err
	}
	if err := durable.WriteFile(p.ServiceAccountKeyFile(), serviceAccountPEM, 0o600); err != nil {
		return err
	}
	encryption := make([]byte, encryptionKeyBytes)
	if _, err := rand.Read(encryption); err != nil {
		return err
	}
	return durable.WriteFile(p.encryptionKeyFile(), encryption, 0o600)
}

// writeVersion says that the folder is complete.
func (p *PKI) writeVersion() error {
	data, err := json.Marshal(version{PKI: formatVersion})
	if err != nil {
		return err
	}
	return durable.WriteFile(p.versionFile(), append(data, '\n'), 0o600)
}

func (p *PKI) load() error {
	var err error
	if p.cluster, err = loadAuthority(filepath.Join(p.durable, "cluster-ca")); err != nil {
		return err
	}
	if p.frontProxy, err = loadAuthority(filepath.Join(p.durable, "front-proxy-ca")); err != nil {
		return err
	}
	data, err := os.ReadFile(p.ServiceAccountKeyFile())
	if err != nil {
		return err
	}
	if p.serviceAccount, err = decodeKey(data); err != nil {
		return fmt.Errorf("%s: %w", p.ServiceAccountKeyFile(), err)
	}
	if p.encryption, err = os.ReadFile(p.encryptionKeyFile()); err != nil {
		return err
	}
	if len(p.encryption) != encryptionKeyBytes {
		return fmt.Errorf("%s has %d bytes instead of %d", p.encryptionKeyFile(), len(p.encryption), encryptionKeyBytes)
	}
	return nil
}

// ClusterCAFile is the authority of all that speaks with the API server: its server certificate, clients, kubelets.
func (p *PKI) ClusterCAFile() string { return filepath.Join(p.durable, "cluster-ca.crt") }

// ClusterCAKeyFile is the key of the cluster's authority, for the controller that signs certificate requests.
func (p *PKI) ClusterCAKeyFile() string { return filepath.Join(p.durable, "cluster-ca.key") }

// ClusterCA is the cluster's authority as PEM.
func (p *PKI) ClusterCA() []byte { return p.cluster.certPEM }

// FrontProxyCAFile is the authority of the API server's aggregation layer.
func (p *PKI) FrontProxyCAFile() string { return filepath.Join(p.durable, "front-proxy-ca.crt") }

// ServiceAccountKeyFile is the key that signs service account tokens, as PEM. It also serves as the public key file.
func (p *PKI) ServiceAccountKeyFile() string { return filepath.Join(p.durable, "service-account.key") }

// Ends is when the first of the authorities is not valid any more. They are never renewed: every kubeconfig trusts them.
func (p *PKI) Ends() time.Time {
	if end := p.frontProxy.cert.NotAfter; end.Before(p.cluster.cert.NotAfter) {
		return end
	}
	return p.cluster.cert.NotAfter
}

// EncryptionKey is the AES-256 key of Secrets at rest.
func (p *PKI) EncryptionKey() []byte { return p.encryption }

func (p *PKI) encryptionKeyFile() string { return filepath.Join(p.durable, "secrets-encryption.key") }
