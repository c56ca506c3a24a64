//! Quantities of resources.

use super::{boolean, int, opaque, texts, this};
use crate::eval::{Outcome, fail};
use crate::table::Sig::{Bool, Double, Int, Opaque, String as Text};
use crate::table::{Overload, global, member};
use crate::value::Value;
use apimachinery::Quantity;

const NAME: &str = "kubernetes.Quantity";

#[derive(Debug, PartialEq, Clone, Copy)]
struct Amount(Quantity);

opaque!(Amount, NAME);

pub(super) static FUNCTIONS: &[Overload] = &[
    global("quantity", "string_to_quantity", &[Text], Opaque(NAME), |_, args| {
        let [text] = texts(args)?;
        Quantity::parse(text)
            .map_or_else(|error| fail(error.to_string()), |amount| Ok(Value::opaque(Amount(amount))))
    }),
    global("isQuantity", "is_quantity_string", &[Text], Bool, |_, args| {
        texts(args).and_then(|[text]| boolean(Quantity::parse(text).is_ok()))
    }),
    global("sign", "quantity_sign", &[Opaque(NAME)], Int, |_, args| sign(args)),
    member("sign", "quantity_sign", &[Opaque(NAME)], Int, |_, args| sign(args)),
    member("isGreaterThan", "quantity_is_greater_than", &[Opaque(NAME), Opaque(NAME)], Bool, |_, args| {
        boolean(this::<Amount>(args)?.0 > this::<Amount>(&args[1..])?.0)
    }),
    member("isLessThan", "quantity_is_less_than", &[Opaque(NAME), Opaque(NAME)], Bool, |_, args| {
        boolean(this::<Amount>(args)?.0 < this::<Amount>(&args[1..])?.0)
    }),
    member("compareTo", "quantity_compare_to", &[Opaque(NAME), Opaque(NAME)], Int, |_, args| {
        Ok(Value::Int(this::<Amount>(args)?.0.cmp(&this::<Amount>(&args[1..])?.0) as i64))
    }),
    member("asApproximateFloat", "quantity_get_float", &[Opaque(NAME)], Double, |_, args| {
        Ok(Value::Double(this::<Amount>(args)?.0.as_f64()))
    }),
    member("asInteger", "quantity_get_int", &[Opaque(NAME)], Int, |_, args| {
        let amount = this::<Amount>(args)?.0;
        if is_whole(amount) {
            Ok(Value::Int(amount.value()))
        } else {
            fail("cannot convert value to integer")
        }
    }),
    member("isInteger", "quantity_is_integer", &[Opaque(NAME)], Bool, |_, args| {
        boolean(is_whole(this::<Amount>(args)?.0))
    }),
    member("add", "quantity_add", &[Opaque(NAME), Opaque(NAME)], Opaque(NAME), |_, args| {
        Ok(Value::opaque(Amount(this::<Amount>(args)?.0 + this::<Amount>(&args[1..])?.0)))
    }),
    member("add", "quantity_add_int", &[Opaque(NAME), Int], Opaque(NAME), |_, args| {
        Ok(Value::opaque(Amount(this::<Amount>(args)?.0 + whole(int(args.get(1))?))))
    }),
    member("sub", "quantity_sub", &[Opaque(NAME), Opaque(NAME)], Opaque(NAME), |_, args| {
        Ok(Value::opaque(Amount(this::<Amount>(args)?.0 - this::<Amount>(&args[1..])?.0)))
    }),
    member("sub", "quantity_sub_int", &[Opaque(NAME), Int], Opaque(NAME), |_, args| {
        Ok(Value::opaque(Amount(this::<Amount>(args)?.0 - whole(int(args.get(1))?))))
    }),
];

fn sign<'a>(args: &[Value<'a>]) -> Outcome<'a> {
    Ok(Value::Int(this::<Amount>(args)?.0.cmp(&Quantity::default()) as i64))
}

fn whole(value: i64) -> Quantity {
    Quantity::parse(&value.to_string()).unwrap_or_default()
}

fn is_whole(amount: Quantity) -> bool {
    let value = amount.value();
    value != i64::MAX && value != i64::MIN && whole(value) == amount
}
