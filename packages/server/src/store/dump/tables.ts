/** Which tables a copy of the database holds, in an order in which what is referred to comes first. */
import type { Schema } from '../sql/schema.js';

/** `kept`: copied. `spent`: written down and not brought back, because what a token was spent on after the copy is forgotten. `passing`: of the moment. */
type TableRole = 'kept' | 'spent' | 'passing';

const TABLES = {
  log_head: 'kept',
  changes: 'kept',
  bundles: 'kept',
  authorities: 'kept',
  revoked_authorities: 'kept',
  federation_relationships: 'kept',
  entries: 'kept',
  entry_selectors: 'kept',
  entry_federation: 'kept',
  nodes: 'kept',
  node_selectors: 'kept',
  node_proofs: 'kept',
  node_admissions: 'kept',
  tpm_enrollments: 'kept',
  selector_sightings: 'kept',
  audit_events: 'kept',
  join_tokens: 'spent',
  delivery_questions: 'passing',
  delivery_answers: 'passing',
} as const satisfies Record<keyof Schema, TableRole>;

/** Those of `present` that a copy holds. */
export function copiedTables(present: ReadonlySet<string>): readonly string[] {
  return tablesOf('kept', 'spent').filter((name) => present.has(name));
}

/** Those that stay empty when a copy is brought back. */
export function isBroughtBack(table: string): boolean {
  return tablesOf('kept').includes(table);
}

/** Every table of the registry, whatever becomes of it. */
export const REGISTRY_TABLES: readonly string[] = Object.keys(TABLES);

function tablesOf(...roles: readonly TableRole[]): readonly string[] {
  return Object.entries(TABLES).flatMap(([name, role]) => (roles.includes(role) ? [name] : []));
}
