/** Who lets nodes in that are new: operators, and a webhook where there is one. */
import { BonafideError } from '@bonafide/shared/errors/bonafide-error';
import type { ServerConfig } from '../configuration/server-config.js';
import { AdmissionGate } from '../node-admission/admission-gate.js';
import { AdmissionNotices } from '../node-admission/admission-notices.js';
import { HttpAdmissionWebhook } from '../node-admission/admission-webhook.js';
import type { ApprovalPolicy } from '../node-admission/approval-policy.js';
import { NodeAdmissions } from '../node-admission/node-admissions.js';
import { pruneAdmissions } from '../node-admission/prune-admissions.js';
import type { NodeAttestor } from '../node-attestation/node-attestor.js';
import type { Startup } from './startup.js';
import type { Storage } from './storage.js';
import type { Telemetry } from './telemetry.js';

type AdmissionConfig = ServerConfig['server']['node_admission'];

export interface Admission {
  readonly gate: AdmissionGate;
  readonly admissions: NodeAdmissions;
}

/** @throws BonafideError `failed_precondition` for a rule that could never hold. */
export function startAdmission(
  { config, clock, live, log, shutdown, background, moreNodeAttestors }: Startup,
  { store }: Storage,
  { audit, metrics }: Telemetry,
  attestors: ReadonlyMap<string, NodeAttestor>,
): Admission {
  const { node_admission: settings } = config.server;
  checkRules(settings, [...attestors.keys()]);
  const notices = new AdmissionNotices({ audit, metrics, log });
  const policy = policyOf(settings);
  const parts = { policy, store, notices, clock };
  live?.add({
    name: 'node admission',
    keys: ['approval_required', 'approvals', 'expires_after', 'denied_for'].map(
      (key) => `server.node_admission.${key}`,
    ),
    prepare: ({ server, plugins }) => {
      const { NodeAttestor: next } = plugins;
      // Those that stand beside the configuration stay.
      const known = moreNodeAttestors === undefined ? Object.keys(next) : [...attestors.keys()];
      checkRules(server.node_admission, known);
      const nextPolicy = policyOf(server.node_admission);
      return () => {
        Object.assign(policy, nextPolicy); // it is looked at anew each time
      };
    },
  });
  const webhook =
    settings.webhook === undefined
      ? undefined
      : new HttpAdmissionWebhook({
          settings: {
            url: settings.webhook.url,
            timeoutSeconds: settings.webhook.timeout,
            caPath: settings.webhook.ca_path,
            bearerTokenPath: settings.webhook.bearer_token_path,
          },
          ...{ notices, clock, signal: background.signal },
        });
  const pruning = pruneAdmissions({ store, clock, log }, background.signal);
  shutdown.add(() => {
    background.abort();
    return pruning;
  });
  return { gate: new AdmissionGate({ ...parts, webhook }), admissions: new NodeAdmissions(parts) };
}

function policyOf(settings: AdmissionConfig): ApprovalPolicy {
  return {
    rules: settings.approval_required,
    approvalsNeeded: settings.approvals,
    expiresAfterSeconds: settings.expires_after,
    deniedForSeconds: settings.denied_for,
  };
}

/** A misspelt rule would let everybody in. */
function checkRules({ approval_required: rules }: AdmissionConfig, attestors: readonly string[]): void {
  const enabled = `enabled are ${attestors.join(', ') || 'none'}`;
  for (const [index, { attestor, selector }] of rules.entries()) {
    const where = `node_admission.approval_required[${index}]`;
    for (const type of [attestor, selector?.type]) {
      if (type === undefined || attestors.includes(type)) continue;
      throw new BonafideError(
        'failed_precondition',
        `${where} names the node attestor ${JSON.stringify(type)}; ${enabled}`,
      );
    }
    if (attestor !== undefined && selector !== undefined && attestor !== selector.type) {
      throw new BonafideError(
        'failed_precondition',
        `${where} holds for no node: ${attestor} proves no selectors of type ${selector.type}`,
      );
    }
  }
}
