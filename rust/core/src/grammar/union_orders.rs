//! The orders in which the branches of a union write their names.

use std::rc::Rc;

use super::form::Form;
use super::hash::{Map, Set};
use super::work::Work;

/// Work that it is to put a name into an order.
const STEPS_OF_A_NAME: usize = 8;

/// Lets all branches write names in one order; a branch that declares them in another keeps its
/// own, with the names of the others in between. Beside that, each may write them in the order in
/// which the branches declare them one after the other.
pub(super) fn align(forms: &mut [Form], work: &Work) {
    let mut order: Vec<Rc<str>> = Vec::new();
    let mut lists: Vec<&Rc<[Rc<str>]>> = Vec::new();
    let mut met: Vec<&Rc<[Rc<str>]>> = Vec::new();
    for shape in forms.iter().flat_map(|form| &form.objects) {
        work.count(lists.len() + met.len());
        for (lists, list) in [(&mut lists, &shape.order), (&mut met, shape.order_met())] {
            if !list.is_empty() && !lists.iter().any(|known| Rc::ptr_eq(known, list)) {
                lists.push(list);
            }
        }
    }
    if lists.len() < 2 {
        return;
    }
    let mut known: Set<&Rc<str>> = Set::default();
    let names = met.iter().flat_map(|list| list.iter());
    let union_order: Rc<[Rc<str>]> = names.filter(|name| known.insert(name)).cloned().collect();
    let mut known: Set<Rc<str>> = Set::default();
    for list in lists {
        merge_order(&mut order, &mut known, list, work);
    }
    let places: Map<Rc<str>, usize> = order.iter().cloned().zip(0..).collect();
    let order: Rc<[Rc<str>]> = order.into();
    for shape in forms.iter_mut().flat_map(|form| &mut form.objects) {
        if work.is_done() {
            return;
        }
        let is_kept = shape.order.is_sorted_by_key(|name| places.get(name));
        let shape = Rc::make_mut(shape);
        shape.union_order = Rc::clone(&union_order);
        shape.order = if is_kept {
            Rc::clone(&order)
        } else {
            let (mut own, mut known) = (shape.order.to_vec(), Set::default());
            known.extend(own.iter().cloned());
            merge_order(&mut own, &mut known, &order, work);
            own.into()
        };
    }
}

/// Puts names that are new before the known one that follows them, or else at the end.
fn merge_order(order: &mut Vec<Rc<str>>, known: &mut Set<Rc<str>>, list: &[Rc<str>], work: &Work) {
    work.count(STEPS_OF_A_NAME * (order.len() + list.len()));
    let mut fresh: Vec<Rc<str>> = Vec::new();
    for name in list {
        if !known.contains(name) {
            fresh.push(Rc::clone(name));
        } else if !fresh.is_empty()
            && let Some(at) = order.iter().position(|one| one == name)
        {
            work.count(order.len());
            known.extend(fresh.iter().cloned());
            order.splice(at..at, fresh.drain(..));
        }
    }
    known.extend(fresh.iter().cloned());
    order.extend(fresh);
}
