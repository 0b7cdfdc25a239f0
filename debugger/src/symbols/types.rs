//! The types of the source program: what they are, and where they are kept.

use std::cell::{OnceCell, RefCell};
use std::collections::HashMap;
use std::sync::Arc;

use super::Symbols;
use super::dwarf::{Die, TypeSpace, read_type};

/// How many typedefs and qualifiers are looked through: longer chains are circular.
const MAX_CHAIN: usize = 64;

/// Names a type of one [`Symbols`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TypeId(u32);

/// A type.
#[derive(Debug, Clone, PartialEq)]
pub struct Type {
    /// Its name, without `struct` and the like.
    pub name: Option<String>,
    /// Its size in bytes as its description has it; see [`Symbols::size_of`].
    pub size: Option<u64>,
    /// What it is.
    pub kind: TypeKind,
}

/// What a type is.
#[derive(Debug, Clone, PartialEq)]
pub enum TypeKind {
    /// No value.
    Void,
    /// A number, a character, a truth value.
    Base(Encoding),
    /// A pointer or a reference.
    Pointer {
        /// To what.
        to: TypeId,
        /// Whether it is a C++ reference.
        reference: bool,
    },
    /// A structure, union or class.
    Composite(Composite),
    /// An array, of one dimension: of several, the elements are arrays.
    Array {
        /// Of what.
        element: TypeId,
        /// How many; `None` if its length is open.
        count: Option<u64>,
    },
    /// An enumeration.
    Enum {
        /// Whether its values are signed.
        signed: bool,
        /// Names and values.
        enumerators: Vec<(String, i128)>,
    },
    /// Another name of a type.
    Typedef(TypeId),
    /// A type with `const` or the like.
    Qualified(&'static str, TypeId),
    /// A function.
    Function {
        /// What it returns.
        returns: TypeId,
        /// What it takes.
        parameters: Vec<TypeId>,
        /// Whether any number of arguments may follow.
        variadic: bool,
    },
    /// Something that is not understood; the text names it.
    Unknown(String),
}

/// How the bits of a base type are to be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Encoding {
    /// A truth value.
    Bool,
    /// A signed integer, two's complement.
    Signed,
    /// An unsigned integer.
    Unsigned,
    /// A signed character.
    SignedChar,
    /// An unsigned character.
    UnsignedChar,
    /// An IEEE number.
    Float,
}

/// A structure, union or class.
#[derive(Debug, Clone, PartialEq)]
pub struct Composite {
    /// Its keyword: `struct`, `union`, `class`.
    pub keyword: &'static str,
    /// Its members, in order.
    pub members: Vec<Member>,
    /// The alternatives of a Rust enum.
    pub variants: Option<Variants>,
    /// Whether its definition is nowhere.
    pub incomplete: bool,
}

/// A member of a structure or union.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// Its name; anonymous structures and unions have none.
    pub name: Option<String>,
    /// Its type.
    pub ty: TypeId,
    /// Where it begins, in bytes.
    pub offset: u64,
    /// Of a bit-field, which bits from its `offset` on, the lowest one of a byte first.
    pub bits: Option<BitRange>,
}

/// Some bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BitRange {
    /// The first one; less than 8.
    pub first: u8,
    /// How many; at most 64.
    pub len: u8,
}

/// The alternatives of a Rust enum.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Variants {
    /// What tells which one it is.
    pub discriminant: Option<Member>,
    /// By the discriminant's value; `None` is that of all other values.
    pub variants: Vec<(Option<i128>, Vec<Member>)>,
}

struct Slot {
    /// Where it is described.
    die: Option<Die>,
    ty: OnceCell<Arc<Type>>,
}

/// The types that were asked for.
#[derive(Default)]
pub(super) struct TypeTable {
    slots: RefCell<Vec<Slot>>,
    by_die: RefCell<HashMap<Die, TypeId>>,
    made: RefCell<HashMap<Made, TypeId>>,
}

/// Types that the source does not name.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Made {
    Void,
    Pointer(TypeId),
    Array(TypeId, Option<u64>),
    Base(&'static str),
    Unsettled,
    NoType,
    Function,
    FunctionOf(TypeId, Vec<TypeId>),
}

impl TypeTable {
    /// The type that an entry describes; read when it is asked for.
    pub(super) fn of_die(&self, die: Die) -> TypeId {
        if let Some(&id) = self.by_die.borrow().get(&die) {
            return id;
        }
        let id = self.push(Some(die), OnceCell::new());
        self.by_die.borrow_mut().insert(die, id);
        id
    }

    /// A type that the source does not name: the same one every time.
    fn made(&self, made: Made, ty: impl FnOnce() -> Type) -> TypeId {
        if let Some(&id) = self.made.borrow().get(&made) {
            return id;
        }
        let id = self.push(None, OnceCell::from(Arc::new(ty())));
        self.made.borrow_mut().insert(made, id);
        id
    }

    fn push(&self, die: Option<Die>, ty: OnceCell<Arc<Type>>) -> TypeId {
        let mut slots = self.slots.borrow_mut();
        slots.push(Slot { die, ty });
        TypeId(u32::try_from(slots.len() - 1).unwrap_or(u32::MAX))
    }
}

impl Symbols {
    /// The type with this id. A structure that is only declared where it is used is looked up by its name.
    pub fn ty(&self, id: TypeId) -> Arc<Type> {
        let unknown = |what: &str| Arc::new(Type { name: None, size: None, kind: TypeKind::Unknown(what.into()) });
        let die = match self.types.slots.borrow().get(id.0 as usize) {
            Some(slot) => match (slot.ty.get(), slot.die) {
                (Some(ty), _) => return Arc::clone(ty),
                (None, Some(die)) => die,
                (None, None) => return unknown("a type of nothing"),
            },
            None => return unknown("a type of another module"),
        };
        // Not inside the borrow: reading a type mentions others.
        let ty = Arc::new(read_type(self, die));
        match self.types.slots.borrow().get(id.0 as usize) {
            Some(slot) => Arc::clone(slot.ty.get_or_init(|| ty)),
            None => ty,
        }
    }

    /// The type behind typedefs and qualifiers, and its id.
    pub fn resolve(&self, mut id: TypeId) -> (TypeId, Arc<Type>) {
        let mut ty = self.ty(id);
        for _ in 0..MAX_CHAIN {
            match ty.kind {
                TypeKind::Typedef(next) | TypeKind::Qualified(_, next) => id = next,
                _ => return (id, ty),
            }
            ty = self.ty(id);
        }
        (id, Arc::new(Type { name: None, size: None, kind: TypeKind::Unknown("a circular type".into()) }))
    }

    /// The size of a type in bytes; `None` if it has none.
    pub fn size_of(&self, id: TypeId) -> Option<u64> {
        let mut elements: u64 = 1;
        let mut id = id;
        for _ in 0..MAX_CHAIN {
            let (_, ty) = self.resolve(id);
            match ty.kind {
                TypeKind::Array { element, count } if ty.size.is_none() => {
                    elements = elements.checked_mul(count?)?;
                    id = element;
                }
                _ => return ty.size?.checked_mul(elements),
            }
        }
        None
    }

    /// A type by its name as C writes it: `struct task_struct`, `union …`, `enum …`, or a plain name: a typedef, a base
    /// type, and else whatever has it. Of several the one in the unit of `near`, then the first.
    pub fn type_named(&self, name: &str, near: Option<TypeId>) -> Option<TypeId> {
        let words: Vec<&str> = name.split_whitespace().collect();
        let (spaces, name): (&[TypeSpace], String) = match words[..] {
            ["struct" | "class", name] => (&[TypeSpace::Struct], name.into()),
            ["union", name] => (&[TypeSpace::Union], name.into()),
            ["enum", name] => (&[TypeSpace::Enum, TypeSpace::Struct], name.into()),
            _ => (&[TypeSpace::Plain], words.join(" ")),
        };
        let near = near.and_then(|id| self.types.slots.borrow().get(id.0 as usize)?.die);
        let found = |space: TypeSpace| {
            let dies = self.types_called(space, &name);
            let die = near.and_then(|near| dies.iter().find(|die| die.unit() == near.unit())).or(dies.first())?;
            Some(self.types.of_die(*die))
        };
        spaces.iter().find_map(|&space| found(space)).or_else(|| self.c_type(&words))
    }

    /// A structure, union or enumeration by a plain name, as C++ and Rust name them.
    pub fn tagged_type_named(&self, name: &str) -> Option<TypeId> {
        [TypeSpace::Struct, TypeSpace::Enum, TypeSpace::Union]
            .into_iter()
            .find_map(|space| self.types_called(space, name).first().map(|&die| self.types.of_die(die)))
    }

    /// A base type of C by its words in any order, as this module's ABI has it.
    fn c_type(&self, words: &[&str]) -> Option<TypeId> {
        let (mut longs, mut short, mut unsigned, mut signed) = (0, false, false, false);
        let mut base = None;
        for &word in words {
            match word {
                "long" => longs += 1,
                "short" => short = true,
                "unsigned" => unsigned = true,
                "signed" => signed = true,
                "int" | "char" | "float" | "double" | "void" | "_Bool" | "bool" if base.is_none() => base = Some(word),
                _ => return None,
            }
        }
        if base.is_none() && longs == 0 && !short && !unsigned && !signed {
            return None;
        }
        match (base.unwrap_or("int"), longs) {
            ("void", 0) => Some(self.void()),
            ("_Bool" | "bool", 0) => Some(self.base_type("_Bool")),
            ("char", 0) => Some(self.base_type(match (unsigned, signed) {
                (true, _) => "unsigned char",
                (_, true) => "signed char",
                _ => "char",
            })),
            ("float", 0) => Some(self.base_type("float")),
            ("double", 0 | 1) => Some(self.base_type("double")),
            ("int", _) => Some(self.base_type(match (longs, short, unsigned) {
                (0, true, false) => "short",
                (0, true, true) => "unsigned short",
                (0, false, false) => "int",
                (0, false, true) => "unsigned int",
                (1, _, false) => "long",
                (1, _, true) => "unsigned long",
                (_, _, false) => "long long",
                (_, _, true) => "unsigned long long",
            })),
            _ => None,
        }
    }

    /// `void`.
    pub fn void(&self) -> TypeId {
        self.types.made(Made::Void, || Type { name: Some("void".into()), size: None, kind: TypeKind::Void })
    }

    /// A base type of C as this module's ABI has it; of a name that is none, `int`.
    pub(crate) fn base_type(&self, name: &'static str) -> TypeId {
        let long = self.address_size();
        let (encoding, size) = match name {
            "_Bool" => (Encoding::Bool, 1),
            "char" | "signed char" => (Encoding::SignedChar, 1),
            "unsigned char" => (Encoding::UnsignedChar, 1),
            "short" => (Encoding::Signed, 2),
            "unsigned short" => (Encoding::Unsigned, 2),
            "unsigned int" => (Encoding::Unsigned, 4),
            "long" => (Encoding::Signed, long),
            "unsigned long" => (Encoding::Unsigned, long),
            "long long" => (Encoding::Signed, 8),
            "unsigned long long" => (Encoding::Unsigned, 8),
            "float" => (Encoding::Float, 4),
            "double" => (Encoding::Float, 8),
            "__int128" => (Encoding::Signed, 16),
            "unsigned __int128" => (Encoding::Unsigned, 16),
            _ => (Encoding::Signed, 4),
        };
        let ty = || Type { name: Some(name.into()), size: Some(size), kind: TypeKind::Base(encoding) };
        self.types.made(Made::Base(name), ty)
    }

    /// A pointer to a type.
    pub fn pointer_to(&self, to: TypeId) -> TypeId {
        let size = Some(self.address_size());
        let kind = TypeKind::Pointer { to, reference: false };
        self.types.made(Made::Pointer(to), || Type { name: None, size, kind })
    }

    /// An array of a type.
    pub fn array_of(&self, element: TypeId, count: Option<u64>) -> TypeId {
        let kind = TypeKind::Array { element, count };
        self.types.made(Made::Array(element, count), || Type { name: None, size: None, kind })
    }

    /// The type of functions that take and return these.
    pub fn function_of(&self, returns: TypeId, parameters: Vec<TypeId>) -> TypeId {
        let kind = TypeKind::Function { returns, parameters: parameters.clone(), variadic: false };
        self.types.made(Made::FunctionOf(returns, parameters), || Type { name: None, size: None, kind })
    }

    /// The type of data of which only the name is known.
    pub(crate) fn no_type(&self) -> TypeId {
        let kind = TypeKind::Unknown("data of unknown type".into());
        self.types.made(Made::NoType, || Type { name: None, size: None, kind })
    }

    /// Whether this is [`Symbols::no_type`].
    pub(crate) fn is_no_type(&self, id: TypeId) -> bool {
        id == self.no_type()
    }

    /// The type of a function of which only the name is known.
    pub(crate) fn unknown_function_type(&self) -> TypeId {
        let kind = TypeKind::Function { returns: self.void(), parameters: Vec::new(), variadic: true };
        self.types.made(Made::Function, || Type { name: None, size: None, kind })
    }

    /// What stands in for a type that could not be read.
    pub(super) fn unsettled_type(&self) -> TypeId {
        let kind = TypeKind::Unknown("a type that cannot be read".into());
        self.types.made(Made::Unsettled, || Type { name: None, size: None, kind })
    }
}
