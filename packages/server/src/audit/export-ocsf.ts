/** Records as events of the Open Cybersecurity Schema Framework 1.3.0: Authentication, Entity Management, or API Activity. */
import { categoryOf, isAuditEventName, meaningOf, type AuditEventName } from './audit-events.js';
import type { AuditRecord } from './audit-record.js';

const OCSF_VERSION = '1.3.0';

interface OcsfClass {
  readonly uid: number;
  readonly name: string;
  readonly category: number;
  readonly categoryName: string;
}

const AUTHENTICATION: OcsfClass = {
  uid: 3002,
  name: 'Authentication',
  category: 3,
  categoryName: 'Identity & Access Management',
};
const ENTITY_MANAGEMENT: OcsfClass = { ...AUTHENTICATION, uid: 3004, name: 'Entity Management' };
const API_ACTIVITY: OcsfClass = {
  uid: 6003,
  name: 'API Activity',
  category: 6,
  categoryName: 'Application Activity',
};

/** Its number in the class, and its name there. */
type Activity = readonly [number, string];

const OTHER: Activity = [99, 'Other'];
const ENTITY_ACTIVITIES: readonly (readonly [RegExp, Activity])[] = [
  [/_(created|enrolled|prepared|published|appended|asked)$/, [1, 'Create']],
  [/_(updated|set|replaced|rekeyed|changed|refreshed|activated|tainted|applied)$/, [3, 'Update']],
  [/_(deleted|removed|pruned|revoked|banned)$/, [4, 'Delete']],
];

export function ocsfOf(record: AuditRecord, productVersion: string): object {
  const { event, actor, subject = {}, svid, result, reason } = record;
  const ocsfClass = classOf(event);
  const [activityId, activityName] = activityOf(ocsfClass, event);
  const succeeded = result === 'success';
  return {
    activity_id: activityId,
    activity_name: activityName,
    category_uid: ocsfClass.category,
    category_name: ocsfClass.categoryName,
    class_uid: ocsfClass.uid,
    class_name: ocsfClass.name,
    type_uid: ocsfClass.uid * 100 + activityId,
    type_name: `${ocsfClass.name}: ${activityName}`,
    time: Date.parse(record.time),
    severity_id: succeeded ? 1 : 3,
    severity: succeeded ? 'Informational' : 'Medium',
    status_id: succeeded ? 1 : 2,
    status: succeeded ? 'Success' : 'Failure',
    status_code: result,
    status_detail: reason,
    message: isAuditEventName(event) ? meaningOf(event) : event,
    metadata: {
      version: OCSF_VERSION,
      product: { name: 'bonafide-server', vendor_name: 'Bonafide', version: productVersion },
      event_code: event,
      uid: `${record.server_id}/${record.seq}`,
      sequence: record.seq,
      correlation_uid: record.request_id,
      log_name: 'audit',
    },
    actor: {
      user: actorUser(actor),
      process: actor.pid === undefined ? undefined : { pid: actor.pid },
      app_name: actor.kind === 'server' ? 'bonafide-server' : undefined,
    },
    src_endpoint: actor.address === undefined ? { name: 'local' } : { ip: actor.address },
    ...particulars(ocsfClass, record),
    observables: observablesOf(subject, svid),
    unmapped: {
      svid,
      subject: record.subject,
      revision: record.revision,
      findings: record.findings,
      details: record.details,
      hash: record.hash,
      prev: record.prev,
    },
  };
}

function classOf(event: AuditEventName): OcsfClass {
  if (!isAuditEventName(event)) return API_ACTIVITY;
  if (event === 'agent_attested' || event === 'node_proven' || event === 'attestation_refused') {
    return AUTHENTICATION;
  }
  const category = categoryOf(event);
  return category === 'administration' || category === 'authority' ? ENTITY_MANAGEMENT : API_ACTIVITY;
}

function activityOf({ uid }: OcsfClass, event: string): Activity {
  if (uid === AUTHENTICATION.uid) return [1, 'Logon'];
  if (uid === ENTITY_MANAGEMENT.uid) {
    return ENTITY_ACTIVITIES.find(([pattern]) => pattern.test(event))?.[1] ?? OTHER;
  }
  return /_(issued|minted)$/.test(event) ? [1, 'Create'] : OTHER;
}

function particulars({ uid }: OcsfClass, record: AuditRecord): object {
  const { subject = {}, actor, method, event } = record;
  if (uid === AUTHENTICATION.uid) {
    const name = subject['agent_id'] ?? actor.spiffe_id ?? 'unknown';
    return {
      user: { name, uid: name, type_id: 3, type: 'System' },
      auth_protocol: record.node_attestor_type,
      auth_protocol_id: 99,
      is_remote: actor.address !== undefined,
      dst_endpoint: { name: record.server_id },
    };
  }
  if (uid === ENTITY_MANAGEMENT.uid) {
    const [kind, id] = Object.entries(subject)[0] ?? ['server', record.server_id];
    return { entity: { type: kind, uid: subject['entry_id'] ?? id, name: subject['spiffe_id'] ?? id } };
  }
  return {
    api: {
      operation: method?.split('/').at(-1) ?? event,
      service: { name: method?.split('/').at(1) ?? 'bonafide-server' },
      request: { uid: record.request_id ?? `${record.server_id}/${record.seq}` },
    },
    resources: Object.entries(subject).map(([type, id]) => ({ type, uid: id })),
    dst_endpoint: { name: record.server_id },
  };
}

function actorUser({ kind, spiffe_id: spiffeId, uid }: AuditRecord['actor']): object {
  const name = spiffeId ?? (uid === undefined ? kind : `uid:${uid}`);
  const isAdmin = kind === 'local_admin' || kind === 'admin' || kind === 'scoped_admin';
  return { name, uid: name, type_id: isAdmin ? 2 : 3, type: isAdmin ? 'Admin' : 'System' };
}

function observablesOf(
  subject: Readonly<Record<string, string>>,
  svid: AuditRecord['svid'],
): readonly object[] {
  const names = Object.entries(subject).map(([name, value]) => [`subject.${name}`, value] as const);
  const number = svid?.serial_number ?? svid?.jti;
  const all = number === undefined ? names : [...names, ['svid', number] as const];
  return all.map(([name, value]) => ({ name, value, type_id: 10, type: 'Resource UID' }));
}
