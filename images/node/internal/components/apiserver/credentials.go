package apiserver

import (
	"context"
	"fmt"
	"os"
	"sync"

	"gopkg.in/go-jose/go-jose.v2/jwt"
	"k8s.io/apiserver/pkg/server/options/encryptionconfig"
	"k8s.io/client-go/util/keyutil"
	"k8s.io/kubernetes/pkg/serviceaccount"
)

// credentials are the keys that the server works with itself: the one that signs the tokens of service accounts, and the one of
// Secrets in the datastore. They can be exchanged while it runs, which is right only as long as nobody has used the ones before.
type credentials struct {
	// Secrets encrypts them.
	Secrets *encryptionconfig.DynamicTransformers

	mu        sync.RWMutex
	issuer    serviceaccount.TokenGenerator
	keys      serviceaccount.PublicKeysGetter
	listeners []serviceaccount.Listener
}

// newCredentials reads them from files: a PEM with the key of service accounts, and an encryption configuration.
func newCredentials(serviceAccountKey, encryption string) (*credentials, error) {
	c := &credentials{}
	secrets, err := loadEncryption(encryption)
	if err != nil {
		return nil, err
	}
	c.Secrets = encryptionconfig.NewDynamicTransformers(secrets.Transformers, nil, func() {}, secrets.KMSCloseGracePeriod)
	return c, c.useServiceAccountKey(serviceAccountKey)
}

// Exchange is newCredentials for a server that works with others already.
func (c *credentials) Exchange(serviceAccountKey, encryption string) error {
	secrets, err := loadEncryption(encryption)
	if err != nil {
		return err
	}
	c.Secrets.Set(secrets.Transformers, func() {}, nil, secrets.KMSCloseGracePeriod)
	return c.useServiceAccountKey(serviceAccountKey)
}

func loadEncryption(file string) (*encryptionconfig.EncryptionConfiguration, error) {
	// Nothing of it outlives the call: there is no plug-in.
	loaded, err := encryptionconfig.LoadEncryptionConfig(context.Background(), file, false, "")
	if err != nil {
		return nil, fmt.Errorf("encryption of Secrets: %w", err)
	}
	return loaded, nil
}

func (c *credentials) useServiceAccountKey(file string) error {
	pem, err := os.ReadFile(file)
	if err != nil {
		return fmt.Errorf("key of service accounts: %w", err)
	}
	key, err := keyutil.ParsePrivateKeyPEM(pem)
	if err != nil {
		return fmt.Errorf("key of service accounts: %s: %w", file, err)
	}
	issuer, err := serviceaccount.JWTTokenGenerator(ServiceAccountIssuer, key)
	if err != nil {
		return fmt.Errorf("key of service accounts: %s: %w", file, err)
	}
	keys, err := serviceaccount.StaticPublicKeysGetter([]any{key})
	if err != nil {
		return fmt.Errorf("key of service accounts: %s: %w", file, err)
	}
	c.mu.Lock()
	c.issuer, c.keys = issuer, keys
	listeners := c.listeners
	c.mu.Unlock()
	for _, listener := range listeners {
		listener.Enqueue()
	}
	return nil
}

// GenerateToken signs a token of a service account.
func (c *credentials) GenerateToken(ctx context.Context, claims *jwt.Claims, private any) (string, error) {
	c.mu.RLock()
	issuer := c.issuer
	c.mu.RUnlock()
	return issuer.GenerateToken(ctx, claims, private)
}

// AddListener has a listener told of an exchange.
func (c *credentials) AddListener(listener serviceaccount.Listener) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.listeners = append(c.listeners, listener)
}

// GetCacheAgeMaxSeconds is for how long clients may keep the keys: nobody has seen the ones before an exchange.
func (c *credentials) GetCacheAgeMaxSeconds() int { return c.current().GetCacheAgeMaxSeconds() }

// GetPublicKeys are the keys that verify tokens.
func (c *credentials) GetPublicKeys(ctx context.Context, keyIDHint string) []serviceaccount.PublicKey {
	return c.current().GetPublicKeys(ctx, keyIDHint)
}

func (c *credentials) current() serviceaccount.PublicKeysGetter {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return c.keys
}
