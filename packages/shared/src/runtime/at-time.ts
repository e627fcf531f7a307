/** A timer for a time of day, which may be far away, and which the clock may be set back from. */
import type { Clock, Timer } from './clock.js';

/** Calls once it is that time, and not before. */
export function atTime(clock: Clock, time: Date, callback: () => void): Timer {
  const schedule = (): Timer =>
    clock.schedule(time.getTime() - clock.now().getTime(), () => {
      // A timer may be clamped, or the wall clock may have been set back.
      if (clock.now() < time) timer = schedule();
      else callback();
    });
  let timer = schedule();
  return {
    cancel: () => {
      timer.cancel();
    },
  };
}
