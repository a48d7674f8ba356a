// Loaded into a process before all else (`node --import`): its wall clock is wrong by CC_TEST_CLOCK_SHIFT_MS, and jumps by the same again each time
// the process is sent SIGUSR2. Clocks that only go on, performance.now() and timers, are right.
const shiftMs = Number(process.env.CC_TEST_CLOCK_SHIFT_MS);
const RealDate = Date;
let aheadMs = shiftMs;
process.on('SIGUSR2', () => (aheadMs += shiftMs));

globalThis.Date = new Proxy(RealDate, {
  construct: (target, args, newTarget) =>
    Reflect.construct(target, args.length === 0 ? [target.now() + aheadMs] : args, newTarget) as object,
  get: (target, property, receiver) =>
    property === 'now' ? () => target.now() + aheadMs : (Reflect.get(target, property, receiver) as unknown),
});
