import { parseSelector } from '@bonafide/shared/registration/selector';
import { describe, expect, it } from 'vitest';
import { isOpen, loggedSelectors } from './shown-selectors.js';

const SELECTORS = [
  'unix:user:web',
  'docker:image_id:nginx:1.27',
  'docker:label:app:web',
  'docker:env:PASSWORD=hunter2',
  'docker:env:hunter2',
  'podman:env:TOKEN=hunter2=',
  'k8s:pod-label:app:web',
  'vault:hunter2',
  'other:kind:hunter2',
].map(parseSelector);

describe('selectors in the log', () => {
  it('keep to themselves what may be a secret, and what an unknown attestor said', () => {
    const shown = loggedSelectors(SELECTORS, 'redacted');
    expect(shown).toEqual([
      'unix:user:web',
      'docker:image_id:nginx:1.27',
      'docker:label:app:web',
      'docker:env:PASSWORD=<redacted>',
      'docker:env:<redacted>',
      'podman:env:TOKEN=<redacted>',
      'k8s:pod-label:app:web',
      'vault:<redacted>',
      'other:<redacted>',
    ]);
    expect(JSON.stringify(shown)).not.toContain('hunter2');
  });

  it('are all there, or not at all, when asked for', () => {
    expect(loggedSelectors(SELECTORS, 'full')).toContain('docker:env:PASSWORD=hunter2');
    expect(loggedSelectors(SELECTORS, 'none')).toBeUndefined();
  });

  it('are shown to the server only when they are open', () => {
    expect(SELECTORS.filter(isOpen).map(({ value }) => value)).not.toContainEqual(
      expect.stringContaining('hunter2'),
    );
  });
});
