//! Expressions as trees.

/// An expression.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Expr {
    Integer {
        value: u64,
        decimal: bool,
        unsigned: bool,
        longs: u8,
    },
    Float(f64, bool),
    Char(u8),
    Text(Vec<u8>),
    Name(String),
    /// `$name`.
    Dollar(String),
    Member {
        of: Box<Expr>,
        name: String,
        arrow: bool,
    },
    Index {
        of: Box<Expr>,
        index: Box<Expr>,
    },
    Slice {
        of: Box<Expr>,
        from: Box<Expr>,
        to: Box<Expr>,
    },
    /// `first@count`.
    Repeat {
        of: Box<Expr>,
        count: Box<Expr>,
    },
    Cast {
        ty: TypeName,
        of: Box<Expr>,
    },
    SizeofType(TypeName),
    Sizeof(Box<Expr>),
    Unary {
        op: Unary,
        of: Box<Expr>,
    },
    Binary {
        op: Binary,
        left: Box<Expr>,
        right: Box<Expr>,
    },
    And(Box<Expr>, Box<Expr>),
    Or(Box<Expr>, Box<Expr>),
    Choice {
        condition: Box<Expr>,
        then: Box<Expr>,
        otherwise: Box<Expr>,
    },
    Assign {
        op: Option<Binary>,
        to: Box<Expr>,
        value: Box<Expr>,
    },
    Sequence(Box<Expr>, Box<Expr>),
    PerCpu {
        of: Box<Expr>,
        cpu: Option<Box<Expr>>,
        pointer: bool,
    },
    ContainerOf {
        pointer: Box<Expr>,
        ty: TypeName,
        path: Vec<Step>,
    },
    OffsetOf {
        ty: TypeName,
        path: Vec<Step>,
    },
}

/// A step to a part of a structure, in `container_of` and `offsetof`.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Step {
    Member(String),
    Index(u64),
}

/// The name of a type.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct TypeName {
    pub(super) base: TypeBase,
    /// What is made of it, from the inside out.
    pub(super) derived: Vec<Derived>,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum TypeBase {
    /// `struct worker`, `unsigned long`, `u32`.
    Named(String),
    /// `typeof(expression)`.
    Of(Box<Expr>),
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Derived {
    Pointer,
    Array(Option<u64>),
    /// A function with these parameters.
    Function(Vec<TypeName>),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unary {
    Plus,
    Minus,
    Not,
    Complement,
    Deref,
    Address,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Binary {
    Add,
    Sub,
    Mul,
    Div,
    Rem,
    Shl,
    Shr,
    And,
    Or,
    Xor,
    Eq,
    Ne,
    Lt,
    Le,
    Gt,
    Ge,
}

impl Binary {
    pub(super) fn text(self) -> &'static str {
        match self {
            Binary::Add => "+",
            Binary::Sub => "-",
            Binary::Mul => "*",
            Binary::Div => "/",
            Binary::Rem => "%",
            Binary::Shl => "<<",
            Binary::Shr => ">>",
            Binary::And => "&",
            Binary::Or => "|",
            Binary::Xor => "^",
            Binary::Eq => "==",
            Binary::Ne => "!=",
            Binary::Lt => "<",
            Binary::Le => "<=",
            Binary::Gt => ">",
            Binary::Ge => ">=",
        }
    }

    pub(super) fn compares(self) -> bool {
        matches!(self, Binary::Eq | Binary::Ne | Binary::Lt | Binary::Le | Binary::Gt | Binary::Ge)
    }
}
