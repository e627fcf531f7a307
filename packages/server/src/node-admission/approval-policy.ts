/** Which nodes must be let in by people, and how many of them it takes. */
import { formatSelector, type Selector } from '@bonafide/shared/registration/selector';

/** Holds for a node of which all that it names holds; it names one thing at least. */
export interface ApprovalRule {
  readonly attestor?: string | undefined;
  readonly selector?: Selector | undefined;
}

export interface ApprovalPolicy {
  readonly rules: readonly ApprovalRule[];
  /** By different people. */
  readonly approvalsNeeded: number;
  /** After the node asked last, or after the last approval. */
  readonly expiresAfterSeconds: number;
  readonly deniedForSeconds: number;
}

interface RuledNode {
  readonly attestationType: string;
  readonly selectors: readonly Selector[];
}

export function needsApproval(rules: readonly ApprovalRule[], node: RuledNode): boolean {
  return rules.some((rule) => holds(rule, node));
}

function holds({ attestor, selector }: ApprovalRule, { attestationType, selectors }: RuledNode): boolean {
  if (attestor !== undefined && attestor !== attestationType) return false;
  if (selector === undefined) return attestor !== undefined;
  const named = formatSelector(selector);
  return selectors.some((candidate) => formatSelector(candidate) === named);
}
