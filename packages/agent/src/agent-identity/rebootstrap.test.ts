import { BonafideError, hasReason } from '@bonafide/shared/errors/bonafide-error';
import { silentLogger } from '@bonafide/shared/runtime/logger';
import { FakeClock } from '@bonafide/testing/fake-clock';
import { describe, expect, it } from 'vitest';
import { Rebootstrap, type RebootstrapMode } from './rebootstrap.js';

const stranger = new BonafideError(
  'unavailable',
  'No connection established. Last error: self-signed certificate in certificate chain. Resolution note: ',
);

class Due {
  count = 0;
}

function start(mode: RebootstrapMode): { clock: FakeClock; due: Due; rebootstrap: Rebootstrap } {
  const clock = new FakeClock();
  const due = new Due();
  const onDue = (): void => {
    due.count += 1;
  };
  return {
    clock,
    due,
    rebootstrap: new Rebootstrap({ mode, delaySeconds: 600, onDue, clock, log: silentLogger }),
  };
}

describe('Rebootstrap', () => {
  it('is due when the server has been a stranger for the whole delay, and is said once', async () => {
    const { clock, due, rebootstrap } = start('auto');
    rebootstrap.observe(stranger);
    await clock.advance(599_000);
    rebootstrap.observe(stranger);
    expect(rebootstrap.isDue).toBe(false);
    await clock.advance(1_000);
    rebootstrap.observe(stranger);
    rebootstrap.observe(stranger);
    expect(rebootstrap.isDue).toBe(true);
    expect(due.count).toBe(1);
  });

  it('begins to wait anew once a server has answered that is believed', async () => {
    const { clock, rebootstrap } = start('auto');
    rebootstrap.observe(stranger);
    await clock.advance(599_000);
    rebootstrap.confirm();
    await clock.advance(2_000);
    rebootstrap.observe(stranger);
    expect(rebootstrap.isDue).toBe(false);
    await clock.advance(600_000);
    rebootstrap.observe(stranger);
    expect(rebootstrap.isDue).toBe(true);
    rebootstrap.confirm();
    expect(rebootstrap.isDue).toBe(false);
  });

  it.each([
    new BonafideError(
      'unavailable',
      'No connection established. Last error: connect ECONNREFUSED 127.0.0.1:8081',
    ),
    new BonafideError('unavailable', 'Last error: certificate has expired'),
    new BonafideError(
      'unavailable',
      'the server is spiffe://example.org/other; expected spiffe://example.org/spire/server',
    ),
    new BonafideError('internal', 'self-signed certificate'),
    new Error('self-signed certificate'),
  ])('is not about %s', async (error) => {
    const { clock, rebootstrap } = start('always');
    rebootstrap.observe(error);
    await clock.advance(600_000);
    rebootstrap.observe(error);
    expect(rebootstrap.isDue).toBe(false);
  });

  it('never does what it is not to do', async () => {
    const { clock, rebootstrap } = start('never');
    rebootstrap.review(false);
    rebootstrap.observe(stranger);
    await clock.advance(600_000);
    rebootstrap.observe(stranger);
    expect(rebootstrap.isDue).toBe(false);
  });

  it('gives up with auto, and ends the agent with always, when the agent cannot attest again', async () => {
    const { clock, rebootstrap } = start('auto');
    rebootstrap.review(false);
    expect(rebootstrap.isEnabled).toBe(false);
    rebootstrap.observe(stranger);
    await clock.advance(600_000);
    rebootstrap.observe(stranger);
    expect(rebootstrap.isDue).toBe(false);

    const demanding = start('always').rebootstrap;
    demanding.review(true);
    let error: unknown;
    try {
      demanding.review(false);
    } catch (thrown) {
      error = thrown;
    }
    expect(hasReason(error, 'failed_precondition')).toBe(true);
  });
});
