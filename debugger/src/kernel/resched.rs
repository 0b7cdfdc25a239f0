//! Which bit of a task's flags tells it to give way. It is a number that the preprocessor has replaced, so that debug
//! information does not have it; but the scheduler's own function that sets it does.

use wasmparser::{BinaryReader, FunctionBody, Operator};
use wkdb_tracer::ModuleId;

use super::Kernel;

impl Kernel<'_> {
    /// The number of the bit of `thread_info.flags` that tells a task to give way.
    pub(super) fn need_resched_bit(&self) -> Option<u32> {
        let named = self.enumerator("TIF_NEED_RESCHED").and_then(|bit| u32::try_from(bit).ok());
        named.or_else(|| self.bit_set_by_scheduler()).filter(|&bit| bit < 32)
    }

    /// The bit that the first atomic "or" of `resched_curr()` sets; of kernels where another function does it, the bit's
    /// number, which that one is called with.
    fn bit_set_by_scheduler(&self) -> Option<u32> {
        let function = self.symbols.functions_named("resched_curr").into_iter().next()?;
        let helpers = self.symbols.functions_named("__resched_curr");
        let module = self.memory.inferior().module(ModuleId::KERNEL).ok()?;
        let body = module.get(self.symbols.file_range(&function)?)?;
        // Flags are a `long`.
        let mut constant = None;
        for operator in FunctionBody::new(BinaryReader::new(body, 0)).get_operators_reader().ok()? {
            match (operator.ok()?, constant.take()) {
                (Operator::I32Const { value }, _) => constant = Some(u64::from(value.cast_unsigned())),
                (Operator::I64Const { value }, _) => constant = Some(value.cast_unsigned()),
                (Operator::I32AtomicRmwOr { .. } | Operator::I64AtomicRmwOr { .. }, Some(bits))
                    if bits.is_power_of_two() =>
                {
                    return Some(bits.trailing_zeros());
                }
                (Operator::Call { function_index }, Some(bit))
                    if helpers.iter().any(|helper| helper.index == function_index) =>
                {
                    return u32::try_from(bit).ok();
                }
                _ => {}
            }
        }
        None
    }
}
