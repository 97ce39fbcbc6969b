package ingress

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"sandbar.dev/node/internal/components/ingress/model"
	"sandbar.dev/node/internal/components/ingress/render"
	"sandbar.dev/node/internal/haproxy"
)

// outcome is what an attempt to put a model in force came to.
type outcome struct {
	// inForce is set when HAProxy runs the model, but for the refusals.
	inForce bool
	// reloaded is set when it took a reload.
	reloaded bool
	// refusals are the parts that were left out.
	refusals []refusal
}

// refusal is a part of a model that HAProxy does not take.
type refusal struct {
	owner model.Ref
	err   error
}

// apply puts the model in force, by a reload if it must be. A certificate that HAProxy does not take is left out, so that
// it does not hold up everybody else; the error tells of it all the same.
func (i *Ingress) apply(ctx context.Context, m model.Model) (outcome, error) {
	var result outcome
	i.forgetRefused(m)
	result.refusals = i.dropRefused(&m)
	for {
		reloaded, err := i.install(ctx, m)
		var refused *haproxy.RefusedError
		if errors.As(err, &refused) && i.blame(refused, m) {
			result.refusals = append(result.refusals, i.dropRefused(&m)...)
			continue // with at least one certificate less
		}
		result.inForce, result.reloaded = err == nil, reloaded
		for _, r := range result.refusals {
			err = errors.Join(err, fmt.Errorf("%s %s/%s: %w", r.owner.Kind, r.owner.Namespace, r.owner.Name, r.err))
		}
		return result, err
	}
}

// blame notes the certificates whose files a refusal names, and says whether there were any.
func (i *Ingress) blame(refused *haproxy.RefusedError, m model.Model) bool {
	messages := strings.Join(refused.Messages, "\n")
	found := false
	for _, certificate := range m.Certificates {
		if file := render.CertificateFile(certificate); strings.Contains(messages, file) {
			i.refused[file] = refused
			found = true
		}
	}
	return found
}

// dropRefused leaves out what HAProxy refused before.
func (i *Ingress) dropRefused(m *model.Model) []refusal {
	var dropped []refusal
	m.Certificates = slices.DeleteFunc(slices.Clone(m.Certificates), func(certificate model.Certificate) bool {
		err, ok := i.refused[render.CertificateFile(certificate)]
		if ok {
			dropped = append(dropped, refusal{owner: certificate.Owner, err: err})
		}
		return ok
	})
	return dropped
}

// forgetRefused forgets the refusals of what is not there any more.
func (i *Ingress) forgetRefused(m model.Model) {
	if len(i.refused) == 0 {
		return
	}
	there := map[string]bool{}
	for _, certificate := range m.Certificates {
		there[render.CertificateFile(certificate)] = true
	}
	maps.DeleteFunc(i.refused, func(file string, _ *haproxy.RefusedError) bool { return !there[file] })
}

// install makes HAProxy run the model: by changing its servers while it runs if that is all, by a reload otherwise. What
// runs is asked for each time, so a HAProxy that was restarted or changed by hand is no special case.
func (i *Ingress) install(ctx context.Context, m model.Model) (reloaded bool, err error) {
	settings := i.settings
	if settings.DefaultCertificate, err = i.defaultCertificate(); err != nil {
		return false, err
	}
	var running map[string][]haproxy.Server
	info, err := i.runtime.Info(ctx)
	if err == nil {
		running, err = i.runtime.Servers(ctx)
	}
	if err != nil && !haproxy.Unreachable(err) {
		return false, err
	}
	output := render.Render(m, settings, running)
	i.mu.Lock()
	i.expected, i.fallback = output.Configuration.Description, settings.DefaultCertificate
	i.mu.Unlock()
	if err != nil || info.Description != output.Configuration.Description {
		return true, i.installer.Install(ctx, output.Configuration)
	}
	// On disk first: if HAProxy dies in between, it starts with what is wanted.
	if err := i.installer.Save(output.Configuration); err != nil {
		return false, err
	}
	for backend, servers := range output.Servers {
		if len(running[backend]) != len(servers) {
			return false, fmt.Errorf("backend %s has %d servers instead of %d", backend, len(running[backend]), len(servers))
		}
		for k, wanted := range servers {
			if err := i.runtime.Update(ctx, backend, running[backend][k], wanted); err != nil {
				return false, err
			}
		}
	}
	return false, nil
}
