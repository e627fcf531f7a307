import type { TokenReviewStatus } from '@bonafide/shared/kubernetes/kubernetes-api';
import { describe, expect, it } from 'vitest';
import { judgeReview } from './reviewed-token.js';

const good: TokenReviewStatus = {
  authenticated: true,
  error: '',
  audiences: ['spire-server'],
  user: {
    username: 'system:serviceaccount:spire:spire-agent',
    extra: {
      'authentication.kubernetes.io/pod-name': ['agent-1'],
      'authentication.kubernetes.io/pod-uid': ['u-1'],
    },
  },
};

describe('judgeReview', () => {
  it('reads whose pod the token is', () => {
    expect(judgeReview(good, ['other', 'spire-server'])).toEqual({
      ...{ namespace: 'spire', serviceAccount: 'spire-agent', podName: 'agent-1', podUid: 'u-1' },
      nodeUid: undefined,
    });
    expect(judgeReview({ ...good, audiences: undefined }, [])).toBeDefined();
  });

  it.each([
    ['unauthenticated', { authenticated: false }],
    ['authentic, but with an error', { error: 'x' }],
    ['authentic for another audience', { audiences: ['vault'] }],
    ['authentic without a word of audiences', { audiences: undefined }],
    ['of nobody', { user: { username: '' } }],
    ['of a person', { user: { ...good.user, username: 'admin' } }],
    ['of a node', { user: { ...good.user, username: 'system:node:node-1' } }],
    [
      'of a user whose name looks like a service account',
      { user: { ...good.user, username: 'x:y:spire:spire-agent' } },
    ],
    [
      'of a service account with a longer name',
      { user: { ...good.user, username: 'system:serviceaccount:spire:spire-agent:x' } },
    ],
    ['of no pod', { user: { username: good.user.username } }],
    ['of two pods', withExtra({ 'pod-name': ['agent-1', 'agent-2'], 'pod-uid': ['u-1'] })],
    ['of a pod without a UID', withExtra({ 'pod-name': ['agent-1'] })],
    ['of a pod without a name', withExtra({ 'pod-name': [''], 'pod-uid': ['u-1'] })],
    ['of two nodes', withExtra({ 'pod-name': ['a'], 'pod-uid': ['u-1'], 'node-uid': ['a', 'b'] })],
  ] satisfies [string, Partial<TokenReviewStatus>][])('refuses a review that says: %s', (_name, changes) => {
    expect(() => judgeReview({ ...good, ...changes }, ['spire-server'])).toThrow(
      expect.objectContaining({ reason: 'permission_denied' }),
    );
  });
});

function withExtra(extra: Readonly<Record<string, string[]>>): Partial<TokenReviewStatus> {
  const named = Object.entries(extra).map(([name, values]) => [
    `authentication.kubernetes.io/${name}`,
    values,
  ]);
  return { user: { ...good.user, extra: Object.fromEntries(named) as Record<string, string[]> } };
}
