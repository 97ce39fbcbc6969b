package config

import "strings"

// Policy is the audit.k8s.io/v1 Policy of the profile; empty with the profile None, which logs nothing.
//
// Default logs who did what without bodies, WriteRequestBodies adds the bodies of changes, AllRequestBodies those of reads
// too. Bodies that are secrets are never logged, nor is the node's own traffic of leases, events and health checks.
func (a AuditLog) Policy() string {
	var rules string
	switch a.Profile {
	case "Default":
	case "WriteRequestBodies":
		rules = "- level: RequestResponse\n  verbs: [create, update, patch, delete, deletecollection]\n"
	case "AllRequestBodies":
		rules = "- level: RequestResponse\n"
	default:
		return ""
	}
	const head = `apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules:
- level: None
  resources:
  - group: ""
    resources: [events]
  - group: events.k8s.io
    resources: [events]
- level: None
  resources:
  - group: coordination.k8s.io
    resources: [leases]
- level: None
  nonResourceURLs: [/healthz*, /livez*, /readyz*, /version, /openapi/*, /api, /api/*, /apis, /apis/*]
- level: Metadata
  resources:
  - group: ""
    resources: [secrets, serviceaccounts/token]
  - group: authentication.k8s.io
    resources: [tokenreviews]
  - group: certificates.k8s.io
    resources: [certificatesigningrequests]
`
	return strings.Join([]string{head, rules, "- level: Metadata\n"}, "")
}
