package translate

import (
	"bytes"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"

	"sandbar.dev/node/internal/components/ingress/model"
)

// minRSABits is what OpenSSL asks for at the security level that distributions set; weaker keys it refuses to load.
const minRSABits = 2048

// certificates adds the certificates that an Ingress names.
func (t *translation) certificates(ingress *networkingv1.Ingress) {
	for _, entry := range ingress.Spec.TLS {
		if entry.SecretName == "" {
			continue // the default certificate is meant
		}
		secret := t.cluster.Secret(ingress.Namespace, entry.SecretName)
		if secret == nil {
			t.problem(ingress, true, "SecretNotFound",
				"Secret %q of type %s does not exist; the default certificate is used", entry.SecretName, corev1.SecretTypeTLS)
			continue
		}
		chain, leaf, err := certificate(secret)
		if err != nil {
			t.problem(ingress, false, "InvalidCertificate",
				"Secret %q: %v; the default certificate is used", entry.SecretName, err)
			continue
		}
		t.builder.Certificate(model.Certificate{
			Names: t.names(ingress, entry, leaf),
			PEM:   chain,
			Owner: model.Ref{Kind: "Secret", Namespace: secret.Namespace, Name: secret.Name, UID: string(secret.UID)},
		})
	}
}

// names are the host names that a certificate is for: those of the entry, else those of the Ingress's rules, else its own.
// Second names of hosts get it where it is valid for them.
func (t *translation) names(
	ingress *networkingv1.Ingress, entry networkingv1.IngressTLS, leaf *x509.Certificate,
) []string {
	asked := entry.Hosts
	if len(asked) == 0 {
		for _, rule := range ingress.Spec.Rules {
			asked = append(asked, rule.Host)
		}
	}
	if len(asked) == 0 || len(asked) == 1 && asked[0] == "" {
		asked = leaf.DNSNames
	}
	var names []string
	for _, name := range asked {
		host, err := model.Host(name)
		if err != nil {
			t.problem(ingress, false, "InvalidHost", "%v", err)
			continue
		}
		if host == "" {
			continue
		}
		names = append(names, host)
		if alias := t.domains.Alias(host); alias != "" && leaf.VerifyHostname(alias) == nil {
			names = append(names, alias)
		}
	}
	return names
}

// certificate is the chain and key of a TLS secret, written anew so that nothing but certificates and one key is in it.
// What OpenSSL would refuse is an error here, where it is known whose it is.
func certificate(secret *corev1.Secret) ([]byte, *x509.Certificate, error) {
	pair, err := tls.X509KeyPair(secret.Data[corev1.TLSCertKey], secret.Data[corev1.TLSPrivateKeyKey])
	if err != nil {
		return nil, nil, err
	}
	var b bytes.Buffer
	for _, der := range pair.Certificate {
		certificate, err := x509.ParseCertificate(der)
		if err != nil {
			return nil, nil, err
		}
		if err := strength(certificate); err != nil {
			return nil, nil, err
		}
		if err := pem.Encode(&b, &pem.Block{Type: "CERTIFICATE", Bytes: der}); err != nil {
			return nil, nil, err
		}
	}
	key, err := x509.MarshalPKCS8PrivateKey(pair.PrivateKey)
	if err != nil {
		return nil, nil, err
	}
	if err := pem.Encode(&b, &pem.Block{Type: "PRIVATE KEY", Bytes: key}); err != nil {
		return nil, nil, err
	}
	return b.Bytes(), pair.Leaf, nil
}

func strength(certificate *x509.Certificate) error {
	if key, ok := certificate.PublicKey.(*rsa.PublicKey); ok && key.N.BitLen() < minRSABits {
		return fmt.Errorf("an RSA key of %d bits is too weak", key.N.BitLen())
	}
	selfSigned := bytes.Equal(certificate.RawIssuer, certificate.RawSubject)
	switch certificate.SignatureAlgorithm {
	case x509.MD2WithRSA, x509.MD5WithRSA, x509.SHA1WithRSA, x509.DSAWithSHA1, x509.ECDSAWithSHA1:
		if !selfSigned { // nobody relies on the signature of a self-signed one
			return errors.New("the certificate's signature with " + certificate.SignatureAlgorithm.String() + " is too weak")
		}
	}
	return nil
}
