import assert from 'node:assert/strict';
import { test } from 'node:test';
import { StateMachine, type Transitions } from '../../../src/provider/state-machine.js';
import { throwsWith } from '../../support/assertions.js';

type State = 'new' | 'open' | 'over';
type Event = 'open' | 'close';
const table: Transitions<State, Event> = { new: { open: 'open' }, open: { close: 'over' }, over: {} };

test('goes where the table says', () => {
  const machine = new StateMachine('the door', table, 'new');
  assert.equal(machine.fire('open'), 'open');
  assert.equal(machine.fire('close'), 'over');
  assert.equal(machine.state, 'over');
});

test('refuses what the table does not list, naming subject, state and event, and stays where it is', () => {
  const machine = new StateMachine('the door', table, 'new');
  const error = throwsWith('E_SESSION_STATE', () => machine.fire('close'));
  assert.match(error.message, /the door is new: close/);
  assert.equal(machine.state, 'new');
  assert.ok(machine.allows('open'));
  assert.ok(!machine.allows('close'));
});
